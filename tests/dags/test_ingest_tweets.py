"""Ingestion: the delivery task, the options of a run, and its report."""

import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from deltalake import write_deltalake
from pyarrow import table

from tests.dags.test_commands import XCOMS, render
from vaxpulse_dags import ingestion, reviews, tables

MAPPING = {"tweet_id": "@text", "text": "it's", "labels": {"0": -1, "4": 1}}


def test_dumps_are_read_in_the_order_of_delivery_and_a_missing_table_is_empty(tmp_path, monkeypatch):
    uri = str(tmp_path / "dumps")
    monkeypatch.setattr(tables, "DUMPS", uri)
    assert tables.read_dumps("state = 'held'") == []
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1, 2)]
    write_deltalake(
        uri, table({"source": ["c", "a", "b"], "state": ["held", "held", "loaded"], "delivered_at": moments})
    )
    assert [row["source"] for row in tables.read_dumps("state = 'held'")] == ["a", "c"]


@pytest.fixture
def deliver(dag_bag, dag_module, monkeypatch, tmp_path):
    """Return a function that runs the task `deliver` with values of the form."""
    module = dag_module("ingest_tweets")
    monkeypatch.setattr(module, "TimedWebHDFSHook", lambda: SimpleNamespace(get_conn=lambda: None))
    monkeypatch.setattr(module.landing, "deliver_everything", lambda client, local: None)
    monkeypatch.setenv("VAXPULSE_LANDING", str(tmp_path))

    def run(**params):
        params = dag_bag.dags["ingest_tweets"].params.dump() | params
        monkeypatch.setattr(module, "get_current_context", lambda: {"params": params})
        return dag_bag.dags["ingest_tweets"].get_task("deliver").python_callable()

    return run


def test_dump_that_does_not_exist_fails_without_a_retry(deliver):
    with pytest.raises(AirflowFailException, match="has no file"):
        deliver(dump="june.csv")


def test_mapping_without_a_dump_fails_without_a_retry(deliver):
    assert deliver() is None
    with pytest.raises(AirflowFailException, match=r"\*Mapping\* needs \*Dump\*: enter the address"):
        deliver(mapping=MAPPING)


@pytest.mark.parametrize("limit", ["max_quarantined_share", "min_median_length", "max_decompressed_gib"])
def test_changed_limits_without_a_dump_fail_because_they_would_apply_to_all_deliveries(deliver, limit):
    with pytest.raises(AirflowFailException, match=rf"changed limits \({limit}\) need \*Dump\*"):
        deliver(**{limit: 1})


def test_user_cannot_switch_off_the_gate_if_another_user_must_decide(deliver, dag_module, monkeypatch):
    monkeypatch.setattr(dag_module("ingest_tweets").landing, "deliver_dump", lambda *arguments: "june.csv")
    assert deliver(dump="june.csv", max_label_distance=1) == "june.csv"
    monkeypatch.setenv("VAXPULSE_SELF_REVIEW", "forbidden")
    with pytest.raises(AirflowFailException, match="another user decides in review_dump"):
        deliver(dump="june.csv", max_label_distance=1)
    assert deliver(dump="june.csv", max_decompressed_gib=40) == "june.csv"


def test_run_with_a_dump_processes_no_other_delivery(dag_bag):
    dag = dag_bag.dags["ingest_tweets"]
    assert "--only=june.csv" in [render(word, dag) for word in dag.get_task("load_dumps").command]


def test_source_of_the_delivered_dump_is_returned_and_the_limits_of_the_form_apply(
    deliver, dag_module, monkeypatch
):
    monkeypatch.setattr(
        dag_module("ingest_tweets").landing, "deliver_dump", lambda *arguments: repr(arguments[-1])
    )
    assert deliver(dump="june.csv", mapping=MAPPING) == "Limits(max_gib=20, max_minutes=60)"


def test_mapping_is_passed_to_the_command_as_json(dag_bag):
    dag = dag_bag.dags["ingest_tweets"]
    command = [render(word, dag, mapping=MAPPING) for word in dag.get_task("load_dumps").command]
    [given] = [word.removeprefix("--mapping=") for word in command if word.startswith("--mapping=")]
    assert json.loads(given) == MAPPING
    assert "--mapping-source=june.csv" in command


def test_every_limit_of_the_form_is_passed_to_the_command(dag_bag):
    dag = dag_bag.dags["ingest_tweets"]
    limits = [
        name
        for name in dag.params
        if name.startswith(("max_", "min_")) and not name.startswith("max_download")
    ]
    assert {"max_changed_texts_share", "max_decompressed_gib", "max_text_length"} < set(limits)
    command = [render(word, dag, **dict.fromkeys(limits, 7)) for word in dag.get_task("load_dumps").command]
    assert {f"--{name.replace('_', '-')}=7" for name in limits} < set(command)


def test_limits_of_a_run_that_delivered_no_named_dump_do_not_apply_to_waiting_deliveries(
    dag_bag, monkeypatch
):
    dag = dag_bag.dags["ingest_tweets"]
    defaults = [render(word, dag) for word in dag.get_task("load_dumps").command]
    monkeypatch.setitem(XCOMS, "deliver", None)  # `deliver` has failed, and load_dumps runs all the same
    entered = dict.fromkeys(ingestion.LIMITS, 7)
    command = [render(word, dag, **entered) for word in dag.get_task("load_dumps").command]
    limits = {word for word in defaults if word.startswith(("--max-", "--min-"))}
    assert len(limits) == len(ingestion.LIMITS) + len(ingestion.MAX_TRIES)
    assert limits < set(command)


@pytest.mark.parametrize(("user", "option"), [("ann", "--user=ann"), (None, "--user=")])
def test_mapping_is_given_by_the_user_who_triggered_the_run(dag_bag, user, option):
    dag = dag_bag.dags["ingest_tweets"]
    dag_run = SimpleNamespace(triggering_user_name=user)  # None if no user has triggered it
    assert option in [render(word, dag, dag_run=dag_run) for word in dag.get_task("load_dumps").command]


def test_held_dumps_are_in_the_log_with_their_questions_and_get_a_review(dag_bag, monkeypatch, caplog):
    held = {
        "source": "https://example.org/june.csv",
        "dump_sha256": "ab" * 32,
        "ingested_at": datetime(2026, 11, 24, tzinfo=UTC),
        "reason": "Which column contains the texts? 'hello @ann_canary \n\x1b[2J\u202e'",
        "run_id": "run",
    }
    monkeypatch.setattr(reviews, "read_dumps", lambda condition: [held])
    params = {"max_decompressed_gib": 40, "max_text_length": 500}
    delivered = {"deliver": "june.csv"}
    context = {
        "params": params,
        "run_id": "run",
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: delivered[task_ids]),
    }
    monkeypatch.setattr(reviews, "get_current_context", lambda: context)
    with caplog.at_level(logging.WARNING):
        [run] = find_held(dag_bag, "ingest_tweets")
    assert run["conf"] == {"dump_sha256": "ab" * 32} | params
    assert caplog.messages == [
        "https://example.org/june.csv is held until a user decides: Which column contains the texts? "
        "'hello <user> \\n\\x1b[2J\\u202e'"
    ]
    # A dump that is reopened may be held, too.
    [again] = find_held(dag_bag, "reopen_dump")
    assert again == run
    # The limits of the form were not used if `deliver` has failed.
    delivered["deliver"] = None
    [run] = find_held(dag_bag, "ingest_tweets")
    assert run["conf"] == {"dump_sha256": "ab" * 32}


def find_held(dag_bag, dag_id):
    """Run the task `find_held` of a DAG."""
    task = dag_bag.dags[dag_id].get_task("find_held")
    return task.python_callable(*task.op_args, **task.op_kwargs)


@pytest.fixture
def report(dag_bag, dag_module, monkeypatch):
    """Return a function that runs the task `report` with rows of `dumps`."""

    def run(*dumps, errors=()):
        module = dag_module("ingest_tweets")
        pull = SimpleNamespace(xcom_pull=lambda task_ids: {"errors": list(errors)})
        monkeypatch.setattr(module, "get_current_context", lambda: {"run_id": "run", "ti": pull})
        monkeypatch.setattr(module, "read_dumps", lambda condition: list(dumps))
        dag_bag.dags["ingest_tweets"].get_task("report").python_callable()

    return run


def test_refused_dump_of_the_run_fails_it_with_reason_and_notes(report):
    refused = {"source": "https://example.org/june.png", "run_id": "run", "state": "refused"}
    refused["reason"] = "it is a PNG image"
    with pytest.raises(AirflowFailException, match=r"^https://example.org/june.png is refused: it is a PNG"):
        report(refused, refused | {"run_id": "earlier"})
    with pytest.raises(AirflowFailException, match="it is a PNG image: the header occurs twice"):
        report(refused | {"notes": json.dumps(["the header occurs twice"])})


def test_failed_dump_and_other_errors_of_the_run_fail_it(report):
    failed = {"source": "june.csv", "run_id": "run", "state": "failed", "reason": "3 tries have failed"}
    with pytest.raises(AirflowFailException, match=r"^june.csv is failed: 3 tries have failed$"):
        report(failed)
    with pytest.raises(
        AirflowFailException, match=r"^may.csv could not be loaded: see the log of load_dumps$"
    ):
        report(errors=["may.csv"])


def test_failed_dump_of_an_earlier_run_does_not_fail_a_run(report):
    report({"source": "june.csv", "run_id": "earlier", "state": "failed", "reason": "3 tries have failed"})


def test_loaded_dump_that_is_dated_in_the_future_fails_every_run_until_it_is_corrected(report):
    loaded = {"source": "june.csv", "run_id": "earlier", "state": "loaded", "dump_sha256": "ab" * 32}
    report(loaded | {"delivered_at": datetime.now(UTC) + timedelta(seconds=10)})
    report(loaded | {"delivered_at": datetime(2126, 1, 1, tzinfo=UTC), "state": "retracted"})
    message = "june.csv is dated 2126-01-01 00:00 UTC by a wrong clock: trigger retract_dump, then reopen"
    with pytest.raises(AirflowFailException, match=message):
        report(loaded | {"delivered_at": datetime(2126, 1, 1, tzinfo=UTC)})
