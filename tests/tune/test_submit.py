"""A search as a Ray job: what is refused, and what a job need not bring twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kdsearch.errors import UserError
from kdsearch.search_config import load_config
from kdsearch.tune.cluster import runtime_env
from kdsearch.tune.submit import shown_token, submit_search

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
NOBODY = "http://127.0.0.1:9"


def test_a_relative_results_folder_means_nothing_on_a_cluster() -> None:
    with pytest.raises(UserError, match="absolute path that the nodes share"):
        submit_search(DIGITS, NOBODY, "results")


def test_data_that_does_not_travel_is_refused() -> None:
    edits = ["data.name=fashion_mnist", "data.root=../data"]
    with pytest.raises(UserError, match=r"data\.root: \.\./data leaves the search file's folder"):
        submit_search(DIGITS, NOBODY, "/results", edits)


def test_a_policy_that_does_not_travel_is_refused() -> None:
    file = DIGITS.with_name("n2n_resnet.yaml")
    with pytest.raises(UserError, match=r"proposer\.policy: \.\./p leaves the search file"):
        submit_search(file, NOBODY, "/results", ["proposer.policy=../p"])


@pytest.mark.parametrize("given", ["file", "variable", "nothing", "refused"])
def test_a_token_is_shown_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    token = tmp_path / "token"
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "x")  # so that what is set below is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    if given in ("file", "refused"):
        token.write_text("a" * 64)
    if given == "variable":
        monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    if given == "refused":
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before = os.environ.get("RAY_AUTH_MODE")
    with shown_token():
        expected = {"nothing": None, "refused": "disabled"}.get(given, "token")
        assert os.environ.get("RAY_AUTH_MODE") == expected
    assert os.environ.get("RAY_AUTH_MODE") == before


def test_a_job_that_brought_the_code_is_not_told_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(DIGITS)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert runtime_env(config, joined=True)["py_modules"]
    job = {"runtime_env": {"working_dir": "gcs://x.zip"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert runtime_env(config, joined=True)["py_modules"]
    job["runtime_env"]["py_modules"] = ["gcs://y.zip"]  # type: ignore[assignment]
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))
    assert runtime_env(config, joined=True) == {}


def test_an_address_needs_no_shared_folder_and_may_hold_no_secret() -> None:
    with pytest.raises(UserError, match="is it the job server"):  # so far it comes
        submit_search(DIGITS, NOBODY, "s3://bucket/folder?region=us-east-1")
    with pytest.raises(UserError, match="is it the job server"):
        submit_search(DIGITS, NOBODY, "abfs://container@account.dfs.core.windows.net/folder")


@pytest.mark.parametrize(
    "results",
    [
        "s3://key:word@bucket/folder",
        "s3://word@bucket/folder",
        "s3://key:wo/word@bucket/folder",
        "s3://bucket/folder?secret_key=word",
        "s3://bucket/folder?endpoint_override=http://key:word@host",
        "abfs://account:word@account.dfs.core.windows.net/folder",
        "abfs://container@account.dfs.core.windows.net/folder?sas_token=word",
        "gs://bucket/folder?access_token=word",
        "s3://[word",
    ],
)
def test_an_address_of_a_job_holds_no_secret(results: str) -> None:
    with pytest.raises(UserError) as caught:
        submit_search(DIGITS, NOBODY, results)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(results.partition("://")[0] + "://") and "job server" not in line
    assert "[" in results or ("what may be a secret" in line and "word" not in line)
