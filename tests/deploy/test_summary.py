"""What a person reads about a dump at the end of a run."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from rich.console import Console

from deploy.embedded import run, summary

COUNTS = {"records": 10, "accepted": 7, "known": 4, "duplicates": 1, "quarantined": 2}
NO_COUNTS = dict.fromkeys(COUNTS)


def account(state="loaded", reason=None, **values):
    return COUNTS | {"state": state, "reason": reason, "source": "a.csv", "run_id": "1"} | values


def shown(table):
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]


def test_account_of_a_loaded_dump_says_what_came_before():
    lines = shown(summary.rows_table(account(), {"train": 5, "eval": 2}))
    assert lines[4:10] == [
        "state of the dump loaded",
        "records in the dump 10",
        "accepted in the dump 7",
        "of these known before 4",
        "duplicates in the dump 1",
        "quarantined in the dump 2",
    ]
    assert "clean tweets 7" in lines


def test_account_of_a_dump_that_is_not_loaded_gives_the_reason():
    lines = shown(summary.rows_table(account("refused", "no column safe_text", **NO_COUNTS), {}))
    assert "state of the dump refused" in lines
    assert "refused: no column safe_text" in lines
    assert not any("records" in line for line in lines)


@pytest.mark.parametrize(
    ("source", "recorded"),
    [
        ("https://ann:secret@example.org:8443/a.csv?signature=1#x", "https://example.org:8443/a.csv"),
        ("hdfs://namenode:8020/dumps/a.csv", "/dumps/a.csv"),
        ("/a folder/what?.csv", "what?.csv"),
    ],
)
def test_source_is_looked_up_as_it_is_recorded(source, recorded):
    assert summary.recorded_source(source) == recorded


def test_account_is_the_row_of_the_run_else_the_newest_of_the_source(tmp_path, monkeypatch):
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
    monkeypatch.setattr(summary, "table", lambda *_: DeltaTable(tmp_path))
    assert summary.dump_account(None, "2", "y")["dump_sha256"] == "b"
    assert summary.dump_account(None, "new", "https://h/x?token=1")["dump_sha256"] == "c"
    assert summary.dump_account(None, "new", "z") is None


@pytest.mark.parametrize(
    ("found", "ingested", "waiting", "said"),
    [
        (account(), True, [], []),
        (
            account(),
            False,
            [],
            ["The content of this dump was ingested before: no row is new, nothing was trained."],
        ),
        # a known dump from another source has no account here
        (
            None,
            False,
            [],
            ["The content of this dump was ingested before: no row is new, nothing was trained."],
        ),
        (
            account("rejected", "spam"),
            False,
            [],
            ["This dump is rejected: none of its tweets is in the tables."],
        ),
        (
            account("held", "share_quarantined is 0.4"),
            False,
            ["review_1", "review_2"],
            [
                "This dump is held: none of its tweets is in the tables.",
                "Held dumps that wait for a decision: 2. Decide at http://airflow/required_actions?response_received=false",
            ],
        ),
    ],
)
def test_person_is_told_why_no_row_is_new_and_what_waits_for_a_decision(found, ingested, waiting, said):
    api = SimpleNamespace(
        unfinished_runs=lambda dag_id: waiting if dag_id == "review_dump" else None,
        required_actions_url="http://airflow/required_actions?response_received=false",
    )
    assert list(run.explain_ingestion(api, found, ingested=ingested)) == said
