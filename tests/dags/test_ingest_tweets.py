"""Ingestion: the delivery task, the held dumps and their reviews."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from deltalake import write_deltalake
from pyarrow import table

from vaxpulse_dags import reviews, tables

HELD = {
    "dump_sha256": "ab" * 32,
    "source": "june.csv",
    "delivered_at": datetime(2026, 11, 24, 23, 8, 25, tzinfo=UTC),
    "state": "held",
    "reason": "Median text length 3 is outside 10 to 1000 characters.",
    "records": 8012,
    "accepted": 8010,
    "duplicates": 0,
    "quarantined": 2,
    "negative": 800,
    "neutral": 4000,
    "positive": 3210,
    "median_text_length": 3.0,
    "label_distance": None,
}


def test_every_delivery_of_a_held_dump_has_one_review(dag_bag):
    assert reviews.build_review_runs([HELD]) == reviews.build_review_runs([HELD])
    [first] = reviews.build_review_runs([HELD])
    [second] = reviews.build_review_runs([HELD | {"delivered_at": datetime(2026, 11, 25, tzinfo=UTC)}])
    assert first["conf"] == {"dump_sha256": "ab" * 32}
    assert first["trigger_run_id"] == "held__abababababababab__20261124T230825"
    assert first["trigger_run_id"] != second["trigger_run_id"]


def test_review_shows_the_figures_of_a_held_dump():
    shown = reviews.describe_dump(HELD)
    assert "**june.csv**, delivered 2026-11-24 23:08 UTC, is held: Median text length 3 is outside" in shown
    assert "| records | 8,012 |" in shown
    assert "| distance of the label shares from earlier dumps | - |" in shown


@pytest.mark.parametrize(("option", "decision"), [("Approve", "approve"), ("Reject", "reject")])
def test_answer_is_a_decision_with_a_reason(option, decision):
    answer = {"chosen_options": [option], "params_input": {"reason": "  the sender warned us  "}}
    assert reviews.read_answer(answer) == {"decision": decision, "reason": "the sender warned us"}


@pytest.mark.parametrize("params_input", [{}, {"reason": "  short   "}])
def test_answer_without_a_reason_is_an_error(params_input):
    with pytest.raises(AirflowFailException, match="reason must have at least 10 characters"):
        reviews.read_answer({"chosen_options": ["Approve"], "params_input": params_input})


def test_dumps_are_read_in_the_order_of_delivery_and_a_missing_table_is_empty(tmp_path, monkeypatch):
    uri = str(tmp_path / "dumps")
    monkeypatch.setattr(tables, "DUMPS", uri)
    assert tables.read_dumps("state = 'held'") == []
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1, 2)]
    write_deltalake(
        uri, table({"source": ["c", "a", "b"], "state": ["held", "held", "loaded"], "delivered_at": moments})
    )
    assert [row["source"] for row in tables.read_dumps("state = 'held'")] == ["a", "c"]


def test_dump_that_does_not_exist_fails_without_a_retry(dag_bag, dag_module, monkeypatch, tmp_path):
    module = dag_module("ingest_tweets")
    monkeypatch.setattr(module, "TimedWebHDFSHook", lambda: SimpleNamespace(get_conn=lambda: None))
    monkeypatch.setattr(module, "get_current_context", lambda: {"params": {"dump": "june.csv"}})
    monkeypatch.setenv("VAXPULSE_LANDING", str(tmp_path))
    with pytest.raises(AirflowFailException, match="has no file"):
        dag_bag.dags["ingest_tweets"].get_task("deliver").python_callable()
