"""The last line of a command that changes `tweets_raw` has the figures of the Asset event."""

import resource
from datetime import UTC, datetime, timedelta

import pytest
from deltalake import DeltaTable

from contracts.exit_status import DONE, NOTHING_TO_DO
from contracts.task_output import read_event
from tests.loading.test_erase_tweets import erase
from tests.loading.test_load_dumps import run
from tests.properties.loading_model import Store, moment, sha256_of

FIRST = b"tweet_id,safe_text,label,agreement\nT1,a text about vaccines,1.0,1.0\nT2,another text,0.0,1.0\n"
SECOND = b"tweet_id,safe_text,label,agreement\nT3,a third text about needles,0.0,1.0\n"


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch):
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def last_event(capsys):
    return read_event(capsys.readouterr().out.splitlines()[-1])


def build_expected(store, rows, *contents):
    version = DeltaTable(store.tables.tweets_raw).version()
    return {"rows": rows, "version": version, "dumps": sorted(map(sha256_of, contents))}


def test_event_of_loading_names_the_dumps_of_the_run(store, capsys):
    for minute, content in enumerate((FIRST, SECOND)):
        store.deliver(content, moment(minute))
    assert run(store) == DONE
    assert last_event(capsys) == build_expected(store, 3, FIRST, SECOND)


def test_event_also_names_the_dumps_of_a_killed_run(store, capsys):
    store.deliver(FIRST, moment(0))
    assert run(store, "killed") == DONE
    store.deliver(SECOND, moment(1))
    since = datetime.now(UTC) - timedelta(hours=1)
    assert run(store, "next", f"--notified-until={since.isoformat()}") == DONE
    assert last_event(capsys) == build_expected(store, 3, FIRST, SECOND)


def test_run_that_loads_nothing_has_no_event(store, capsys):
    assert run(store) == NOTHING_TO_DO
    assert last_event(capsys) == {}


def test_event_of_a_retraction_and_of_the_reopening(store, capsys):
    store.deliver(FIRST, moment(0))
    assert run(store) == DONE
    assert store.decide(sha256_of(FIRST), "retract") == DONE
    assert last_event(capsys) == build_expected(store, 2, FIRST)
    assert store.decide(sha256_of(FIRST), "reopen", "reopening") == DONE
    assert last_event(capsys) == build_expected(store, 2, FIRST)


def test_event_of_an_approval(store, capsys):
    content = b"tweet\na text about vaccines\nanother text about needles\n"
    store.deliver(content, moment(0))
    assert run(store) == NOTHING_TO_DO
    assert store.decide(sha256_of(content), "approve", mapping='{"tweet_id": "@text"}') == DONE
    assert last_event(capsys) == build_expected(store, 2, content)


def test_event_of_an_erasure(store, capsys):
    store.deliver(FIRST, moment(0))
    assert run(store) == DONE
    status, result = erase(store, "raw", capsys, ids=["T2"])
    assert status == DONE
    assert result["asset_event"] == build_expected(store, 1, FIRST)
