"""Lines that commands write and operators read."""

import doctest

import pytest

from contracts import task_output
from contracts.task_output import (
    MLFLOW_RUN,
    SPARK_APPLICATION,
    build_event,
    describe_mlflow_run,
    describe_spark_application,
    read_event,
)

RUN_ID = "0123456789abcdef" * 2


def test_examples_in_docstrings():
    results = doctest.testmod(task_output)
    assert results.attempted
    assert not results.failed


def test_ids_are_found_in_a_log_line():
    found = MLFLOW_RUN.search(f"12:00:00 INFO {describe_mlflow_run(RUN_ID, '3')}")
    assert found.groupdict() == {"run": RUN_ID, "experiment": "3"}


@pytest.mark.parametrize("application", ["local-1764417600000", "app-20261129021108-0007"])
def test_application_of_both_kinds_of_masters_is_found(application):
    assert SPARK_APPLICATION.search(describe_spark_application(application))["application"] == application


def test_event_without_dumps_has_those_of_its_trigger():
    assert build_event(3, 7) == {"asset_event": {"rows": 3, "version": 7}}
    assert build_event(3, 7, {"b", "a"})["asset_event"]["dumps"] == ["a", "b"]


@pytest.mark.parametrize("line", ["", "[1]", "{", '{"asset_event": 1}', "null", '{"rows": 1}'])
def test_other_lines_are_no_events(line):
    assert read_event(line) == {}
