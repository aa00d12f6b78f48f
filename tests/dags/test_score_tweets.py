"""Of which dumps `score_tweets` tells, and when it runs."""

import sys
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from common.assets import DRIFT


@pytest.fixture
def score_tweets(dag_bag):
    fileloc = dag_bag.dags["score_tweets"].fileloc
    return next(
        module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == fileloc
    )


def event(*dumps):
    return SimpleNamespace(extra={"dumps": list(dumps)} if dumps else {})


def test_a_dump_is_told_of_once_whatever_champions_find(score_tweets):
    assert score_tweets.not_told_yet(["a", "b", "a"], []) == ["a", "b"]
    assert score_tweets.not_told_yet(["a", "b", "c"], [event("a"), event(), event("c", "x")]) == ["b"]


def test_an_event_names_the_dumps_and_without_one_there_is_no_event(dag_bag, score_tweets, monkeypatch):
    tell = dag_bag.dags["score_tweets"].get_task("tell_of_drift").python_callable
    monkeypatch.setattr(score_tweets, "drifted_dumps", lambda: ["a", "b"])
    outlet = SimpleNamespace(extra={})
    tell(inlet_events={DRIFT: [event("a")]}, outlet_events={DRIFT: outlet})
    assert outlet.extra == {"dumps": ["b"]}
    with pytest.raises(AirflowSkipException, match="no dump has moved away"):
        tell(inlet_events={DRIFT: [event("a"), event("b")]}, outlet_events={DRIFT: SimpleNamespace(extra={})})


def test_new_tweets_or_a_new_champion_start_a_run(dag_bag):
    assert sorted(asset.name for asset in dag_bag.dags["score_tweets"].schedule.objects) == [
        "models",
        "tweets_clean",
    ]


def test_drift_is_told_only_after_tweets_were_scored(dag_bag):
    tell = dag_bag.dags["score_tweets"].get_task("tell_of_drift")
    assert (tell.upstream_task_ids, tell.trigger_rule) == ({"score_tweets"}, "all_success")
