"""Which dumps `score_tweets` reports, and when it runs."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from deltalake import write_deltalake
from pyarrow import table

from vaxpulse_dags import tables
from vaxpulse_dags.assets import DRIFT


@pytest.fixture
def score_tweets(dag_module):
    return dag_module("score_tweets")


def event(*dumps):
    return SimpleNamespace(extra={"dumps": list(dumps)} if dumps else {})


def test_dump_is_reported_once_even_if_several_champions_find_drift(score_tweets):
    assert score_tweets.exclude_reported(["a", "b", "a"], []) == ["a", "b"]
    assert score_tweets.exclude_reported(["a", "b", "c"], [event("a"), event(), event("c", "x")]) == ["b"]


def test_event_names_the_new_dumps_and_there_is_no_event_without_them(dag_bag, score_tweets, monkeypatch):
    report = dag_bag.dags["score_tweets"].get_task("report_drift").python_callable
    monkeypatch.setattr(score_tweets, "read_drifted_dumps", lambda: ["a", "b"])
    outlet = SimpleNamespace(extra={})
    report(inlet_events={DRIFT: [event("a")]}, outlet_events={DRIFT: outlet})
    assert outlet.extra == {"dumps": ["b"]}
    with pytest.raises(AirflowSkipException, match="no dump with drift"):
        report(
            inlet_events={DRIFT: [event("a"), event("b")]}, outlet_events={DRIFT: SimpleNamespace(extra={})}
        )


def test_new_tweets_or_a_new_champion_start_a_run(dag_bag):
    assert sorted(asset.name for asset in dag_bag.dags["score_tweets"].schedule.objects) == [
        "models",
        "tweets_clean",
    ]


def test_drift_is_reported_after_scoring(dag_bag):
    report = dag_bag.dags["score_tweets"].get_task("report_drift")
    assert (report.upstream_task_ids, report.trigger_rule) == ({"score_tweets"}, "all_success")


def test_dump_with_a_breach_has_drift(tmp_path, monkeypatch):
    uri = str(tmp_path / "drift")
    monkeypatch.setattr(tables, "DRIFT_TABLE", uri)
    assert tables.read_drifted_dumps() == []
    columns = {"dump_sha256": ["a", "b"], "breaches": [["label_psi"], []], "measured_at": [1, 2]}
    write_deltalake(uri, table(columns))
    assert tables.read_drifted_dumps() == ["a"]


def test_a_run_without_a_champion_does_not_wait_for_the_slot_of_scorings(dag_bag):
    dag = dag_bag.dags["score_tweets"]
    find, score = dag.get_task("find_model"), dag.get_task("score_tweets")
    assert (find.pool, score.pool) == ("default_pool", "writes_scored")
    assert (find.downstream_task_ids, score.trigger_rule) == ({"score_tweets"}, "all_success")
