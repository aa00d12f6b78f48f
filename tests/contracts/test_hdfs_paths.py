import doctest

import pytest

from contracts import hdfs_paths
from contracts.hdfs_paths import LANDING, is_id, report_path, uri


def test_examples_in_docstrings():
    assert doctest.testmod(hdfs_paths).failed == 0


@pytest.mark.parametrize("file_system", ["hdfs://namenode:8020", "hdfs://namenode:8020/"])
def test_uri_has_one_slash_between_file_system_and_path(file_system):
    assert uri(file_system, LANDING) == "hdfs://namenode:8020/vaxpulse/landing"


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "../b", "a b", "é", "a\n", "a%2Fb", "a\\b"])
def test_text_that_is_not_one_path_segment_is_not_an_id(text):
    assert not is_id(text)
    with pytest.raises(ValueError, match="is not a DAG id or run id"):
        report_path("explore_tweets", text)
    with pytest.raises(ValueError, match="is not a DAG id or run id"):
        report_path(text, "manual__2026-11-24")


@pytest.mark.parametrize("text", ["a", "..a", "scheduled__2026-11-24T00:00:00+00:00", "a.b~c:d+e-f_g"])
def test_ids_of_airflow_are_ids(text):
    assert is_id(text)
