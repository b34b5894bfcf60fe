"""The section `store` of a search file: its faults by place, and what a check says of it."""

from __future__ import annotations

from typing import Any

import pytest

from kdsearch.check import check_search
from kdsearch.config import Plan, TrialSpec
from kdsearch.search_config import load_config
from kdsearch.summary import summary_lines
from tests.searches import fault, tree

CROPPED = {"data.augment": "crop", "training.epochs": 3}


@pytest.mark.parametrize(
    ("section", "place", "words"),
    [
        ({"views": 0}, "store.views", "greater than or equal to 1"),
        ({"views": 1.5}, "store.views", "got 1.5"),
        ({"views": "many"}, "store.views", "got 'many': must be a number from 1, auto or live"),
        ({"views": {"int": [1, 4]}}, "store.views", "no hole may stand here"),
        ({"veiws": 4}, "store.veiws", "did you mean views"),
        ({"dtype": "half"}, "store.dtype", "'float16' or 'float32'"),
        ({"top_k": 0}, "store.top_k", "greater than or equal to 1"),
        ({"memory_mib": 0}, "store.memory_mib", "greater than 0"),
        ({"features": "yes"}, "store.features", "'auto', 'always' or 'never'"),
        (4, "store", "got 4"),
        ({"memory_mib": 0.001}, "store.memory_mib", "0.001, and one view of the teacher's logits"),
        (
            {"views": 9, "memory_mib": 0.02},
            "store.views",
            "9 take 0.0 MiB, and store.memory_mib is 0.02; write at most 3",
        ),
        ({"features": "always", "memory_mib": 0.1}, "store.memory_mib", "features and logits"),
    ],
)
def test_a_fault_is_one_line_at_its_place(section: Any, place: str, words: str) -> None:
    line = fault(tree(**CROPPED, store=section))
    assert line.startswith(f"{place}: ") and words in line


def said(**values: Any) -> list[str]:
    config = load_config(tree(**values))
    return [line for line in summary_lines(config, check_search(config)) if "store" in line]


def test_a_check_says_what_is_kept() -> None:
    (whole,) = said(**CROPPED)
    assert whole.startswith("store: logits, features, pooled of 3 views (crop) in float16, ")
    (part,) = said(**CROPPED, store={"memory_mib": 0.1, "views": 2})
    assert part.startswith("store: logits, pooled of 2 views (crop)")
    assert part.endswith("; losses on feature maps run the teacher")
    (live,) = said(**CROPPED, store={"views": "live"})
    assert live == "store: nothing; the teacher is in the loop"
    (top,) = said(**CROPPED, store={"top_k": 2, "features": "never"})
    assert "logits (the largest 2)" in top


def test_every_augmentation_of_a_search_is_kept() -> None:
    several = {"data.augment": {"choice": ["crop", "crop_flip", "none"]}}
    (line,) = said(**{**CROPPED, **several, "teacher.augment": "crop"})
    assert "3 views (crop), 3 views (crop_flip), 1 view (none)" in line


def test_without_a_teacher_nothing_is_said() -> None:
    search = tree(losses=[], training__label_weight=1.0)
    del search["teacher"]
    config = load_config({**search, "store": {"views": 4}})
    assert not [line for line in summary_lines(config, check_search(config)) if "store" in line]


def test_a_file_without_the_section_means_auto_and_a_row_without_it_live() -> None:
    plan = next(iter(load_config(tree()).plans()))[1]
    assert plan.store.views == "auto"
    content = plan.model_dump(mode="json")
    del content["store"]
    assert Plan.model_validate(content).store.views == "live"
    spec = TrialSpec(plan=plan, architecture="{}")
    assert TrialSpec.model_validate_json(spec.model_dump_json()).plan.store == plan.store
