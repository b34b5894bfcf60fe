"""Small searches over the digits, as mappings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kdsearch.check import check_search
from kdsearch.errors import UserError
from kdsearch.search_config import load_config
from kdsearch.tree import set_path

TREE: dict[str, Any] = {
    "search": "small",
    "data": {"name": "digits", "images": 200, "batch_size": 32},
    "teacher": {"architecture": {"family": "convnet", "widths": [4, 8]}, "epochs": 1},
    "student": {
        "family": "resnet",
        "blocks": {"each": 2, "int": [1, 2]},
        "widths": {"each": 2, "int": [2, 8], "step": 2},
    },
    "losses": [
        {"method": "kd", "weight": 0.9, "temperature": {"float": [1, 20], "log": True}},
        {
            "choice": [
                "none",
                {"method": "at", "weight": {"float": [10, 1e4], "log": True}},
                {"method": "rkd", "weight": {"float": [0.1, 10], "log": True}},
            ]
        },
    ],
    "training": {
        "epochs": 2,
        "lr": {"float": [0.01, 0.5], "log": True},
        "label_weight": {"float": [0.0, 1.0]},
    },
    "constraints": {"parameters": 50_000},
    "proposer": {"name": "random"},
    "budget": {"trials": 4},
}


def tree(**values: Any) -> dict[str, Any]:
    """The small search; ``student__widths=[4]`` puts a value at ``student.widths``."""
    made = copy.deepcopy(TREE)
    for path, value in values.items():
        made = set_path(made, path.replace("__", "."), value)
    return made


def fault(search: Any) -> str:
    """The one line that loading and checking a search ends with."""
    with pytest.raises(UserError) as caught:
        check_search(load_config(search))
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line
