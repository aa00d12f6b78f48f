"""The results of a run."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from rich.console import Console

from contracts import mlflow_names
from deploy.common import summary
from deploy.embedded import results

COUNTS = {"records": 10, "accepted": 7, "known": 4, "duplicates": 1, "quarantined": 2}
NO_COUNTS = dict.fromkeys(COUNTS)


def record(state="loaded", reason=None, **values):
    return COUNTS | {"state": state, "reason": reason, "source": "a.csv", "run_id": "1"} | values


def shown(table):
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]


def test_counts_of_a_loaded_dump_include_tweets_seen_before():
    lines = shown(results.rows_table(record(), {"train": 5, "eval": 2}))
    assert lines[4:10] == [
        "state of the dump loaded",
        "records in the dump 10",
        "accepted in the dump 7",
        "of these seen before 4",
        "duplicates in the dump 1",
        "quarantined in the dump 2",
    ]
    assert "clean tweets 7" in lines


def test_reason_is_shown_for_a_dump_that_is_not_loaded():
    lines = shown(results.rows_table(record("refused", "no column safe_text", **NO_COUNTS), {}))
    assert "state of the dump refused" in lines
    assert "refused: no column safe_text" in lines
    assert not any("records" in line for line in lines)


@pytest.mark.parametrize(
    ("source", "recorded"),
    [
        ("https://example.org:8443/a.csv?signature=1#x", "https://example.org:8443/a.csv"),
        ("hdfs://namenode:8020/dumps/a#1.csv", "/dumps/a#1.csv"),
        ("/a folder/what?\t.csv", "what?\\t.csv"),
    ],
)
def test_recorded_source_has_no_secret_part_and_no_control_characters(source, recorded):
    assert summary.recorded_source(source) == recorded


def test_record_is_the_row_of_the_run_or_the_newest_of_the_source(tmp_path, monkeypatch):
    rows = [
        {
            "dump_sha256": sha256,
            "source": source,
            "run_id": run_id,
            "ingested_at": datetime(2026, 11, day, tzinfo=UTC),
        }
        for sha256, source, run_id, day in (
            ("a", "x", "1", 1),
            ("b", "https://h/x", "2", 2),
            ("c", "https://h/x", "3", 3),
            ("d", "y", "4", 4),
        )
    ]
    write_deltalake(tmp_path, pa.Table.from_pylist(rows))
    monkeypatch.setattr(summary, "open_table", lambda *_: DeltaTable(tmp_path))
    assert summary.dump_record(None, "2", "y")["dump_sha256"] == "b"
    assert summary.dump_record(None, "new", "https://h/x?token=1")["dump_sha256"] == "c"
    assert summary.dump_record(None, "new", "z") is None


@pytest.mark.parametrize(
    ("found", "ingested", "waiting", "lines"),
    [
        (record(), True, [], []),
        (
            record(),
            False,
            [],
            ["The content of this dump was loaded before: there are no new rows, and nothing was trained."],
        ),
        # a dump with another name and known content has no record
        (
            None,
            False,
            [],
            ["The content of this dump was loaded before: there are no new rows, and nothing was trained."],
        ),
        (
            record("rejected", "spam"),
            False,
            [],
            ["This dump is rejected: the tables contain none of its tweets."],
        ),
        (
            record("held", "share_quarantined is 0.4"),
            False,
            ["review_1", "review_2"],
            [
                "This dump is held: the tables contain none of its tweets.",
                "Held dumps that need a decision: 2. Decide at http://airflow/required_actions?response_received=false",
            ],
        ),
    ],
)
def test_explanation_contains_why_no_row_is_new_and_the_number_of_held_dumps(found, ingested, waiting, lines):
    api = SimpleNamespace(
        unfinished_runs=lambda dag_id: waiting if dag_id == "review_dump" else None,
        required_actions_url="http://airflow/required_actions?response_received=false",
    )
    assert list(results.explain_ingestion(api, found, ingested=ingested)) == lines


class Registry:
    """MLflow's registry with one version or one error."""

    def __init__(self, version=None, error=None):
        self.version, self.error = version, error

    def get_model_version_by_alias(self, name, alias):
        assert (name, alias) == (mlflow_names.REGISTERED_MODEL, mlflow_names.CHAMPION_ALIAS)
        if self.error:
            raise MlflowException("failed", self.error)
        return SimpleNamespace(version=self.version)


@pytest.mark.parametrize(
    ("registry", "champion"),
    [
        (Registry(3), {"name": mlflow_names.REGISTERED_MODEL, "version": "3"}),
        # no registered model
        (Registry(error=RESOURCE_DOES_NOT_EXIST), None),
        # no version with this alias
        (Registry(error=INVALID_PARAMETER_VALUE), None),
    ],
)
def test_champion_is_the_version_with_the_alias(monkeypatch, registry, champion):
    monkeypatch.setattr(summary, "mlflow_client", lambda _: registry)
    assert summary.champion(None) == champion


def test_mlflow_that_fails_is_not_a_missing_champion(monkeypatch):
    monkeypatch.setattr(summary, "mlflow_client", lambda _: Registry(error=INTERNAL_ERROR))
    with pytest.raises(MlflowException):
        summary.champion(None)
