"""A second delivery of a known content in each state, and reopened dumps: the table in docs/dumps.md."""

import resource
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from loading.files import Delivery
from loading.loader import Answer, Loader
from loading.mapping.model import GivenMapping
from loading.process_deliveries import describe_outcome
from tests.loading.test_load_dumps import THRESHOLDS
from tests.properties.loading_model import Store, current_tweets, moment, sha256_of

HEADER = "tweet_id,safe_text,label\n"
GOOD = f"{HEADER}A1,first text,0\nA2,second text,1\n".encode()
# More than half of the records are quarantined: the gate holds the dump.
UNUSUAL = f"{HEADER}A1,first text,0\nA2,,0\nA3,,0\n".encode()
UNREADABLE = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
CONTENTS = {
    "loaded": GOOD,
    "held": UNUSUAL,
    "refused": UNREADABLE,
    "rejected": UNUSUAL,
    "retracted": GOOD,
    "failed": GOOD,
}


@pytest.fixture(autouse=True)
def no_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


def row_of(store: Store, content: bytes) -> dict[str, Any]:
    return next(row for row in store.rows("dumps") if row["dump_sha256"] == sha256_of(content))


def bring_to(store: Store, state: str) -> bytes:
    """Deliver a dump at moment(1) and bring it to a state. Return its content."""
    content = CONTENTS[state]
    store.deliver(content, moment(1), "first.csv")
    if state == "failed":
        [delivery] = store.files().deliveries()
        store.loader().fail(delivery, "3 tries have failed")
    store.load(THRESHOLDS)
    for decision, after in (("reject", "rejected"), ("retract", "retracted")):
        if state == after:
            store.decide(sha256_of(content), decision)
    assert row_of(store, content)["state"] == state
    return content


@pytest.fixture(params=sorted(CONTENTS))
def known(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, str, bytes]:
    """A store with a content in a state, the state, and the content."""
    store = Store(tmp_path / "store")
    return store, request.param, bring_to(store, request.param)


AFTER_SECOND_DELIVERY = {
    "loaded": "loaded",
    "held": "held",
    "refused": "refused",
    "rejected": "rejected",
    "retracted": "retracted",
    "failed": "loaded",
}


def test_second_delivery_of_a_known_content(known: tuple[Store, str, bytes]) -> None:
    store, state, content = known
    before = row_of(store, content)
    store.deliver(content, moment(9), "second.csv")
    [row] = store.load(THRESHOLDS)
    assert row["state"] == AFTER_SECOND_DELIVERY[state]
    assert row["delivered_at"] == moment(1)
    processed_again = state in ("refused", "failed")
    assert (row_of(store, content) != before) == processed_again
    assert row["source"] == ("second.csv" if processed_again else "first.csv")
    assert {time for *_, time in store.log().values()} == ({moment(1)} if row["state"] == "loaded" else set())
    assert store.files().deliveries() == []
    assert (store.folder / "raw" / f"{sha256_of(content)}.csv").read_bytes() == content
    outcome = describe_outcome(Delivery(moment(9), "second.csv", ""), row, "another run")
    assert ("reopen_dump processes it again" in outcome) == (state in ("rejected", "retracted"))


AFTER_SECOND_DELIVERY_WITH_MAPPING = AFTER_SECOND_DELIVERY | {"held": "loaded"}


def test_second_delivery_with_a_mapping(known: tuple[Store, str, bytes]) -> None:
    store, state, content = known
    store.deliver(content, moment(9), "second.csv")
    answer = Answer("second.csv", GivenMapping({"text": "safe_text"}), "ann")
    # Without the gate, so that only the state of the dump decides.
    [row] = store.load(None, answer)
    assert row["state"] == AFTER_SECOND_DELIVERY_WITH_MAPPING[state]
    assert row["delivered_at"] == moment(1)


AFTER_REOPENING = {
    "loaded": None,
    "held": None,
    "refused": "refused",
    "rejected": "held",
    "retracted": "loaded",
    "failed": "loaded",
}


def test_reopened_dump_is_processed_like_a_new_delivery_with_its_first_time(
    known: tuple[Store, str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    store, state, content = known
    before = row_of(store, content)
    status = store.decide(sha256_of(content), "reopen", thresholds=THRESHOLDS)
    row = row_of(store, content)
    if AFTER_REOPENING[state] is None:
        assert (status, row) == (65, before)
        assert f"is {state}; a dump in one of these states can be reopened" in capsys.readouterr().err
        return
    assert (row["state"], row["delivered_at"]) == (AFTER_REOPENING[state], moment(1))
    assert status == (0 if row["state"] == "loaded" else 99)
    assert row["source"] == "first.csv"
    if row["state"] == "loaded":
        assert row["reason"] == "reopened: checked by a person"
    # Repeated by a retry of the task.
    assert store.decide(sha256_of(content), "reopen", thresholds=THRESHOLDS) == status
    assert row_of(store, content)["state"] == row["state"]


def test_reopened_dump_does_not_supersede_dumps_that_were_delivered_after_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    old = bring_to(store, "retracted")
    store.deliver(f"{HEADER}A1,corrected text,0\n".encode(), moment(5), "correction.csv")
    store.load(None)
    store.deliver(old, moment(9), "again.csv")
    store.load(None)
    assert current_tweets(store.log()) == {"A1": ("corrected text", 0, None)}
    assert store.decide(sha256_of(old), "reopen", thresholds=THRESHOLDS) == 0
    assert current_tweets(store.log()) == {
        "A1": ("corrected text", 0, None),
        "A2": ("second text", 1, None),
    }


def test_reopening_needs_the_limits_of_the_gate_and_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    sha256 = sha256_of(bring_to(store, "retracted"))
    assert store.decide(sha256, "reopen", reason="short") == 65
    assert store.decide(sha256, "reopen", thresholds=None) == 65
    err = capsys.readouterr().err
    assert "the reason must have at least 10 characters" in err
    assert "the quality gate needs --max-quarantined-share, --max-label-distance" in err


@pytest.mark.parametrize("is_created_again", [True, False])
def test_loaded_dump_that_a_restored_log_does_not_contain_is_loaded_again(
    tmp_path: Path, is_created_again: bool
) -> None:
    store = Store(tmp_path / "store")
    store.deliver(f"{HEADER}B1,another dump,0\n".encode(), moment(0), "other.csv")
    store.load(THRESHOLDS)
    shutil.copytree(store.tables.tweets_raw, tmp_path / "copy")
    bring_to(store, "loaded")
    shutil.rmtree(store.tables.tweets_raw)
    if not is_created_again:
        shutil.copytree(tmp_path / "copy", store.tables.tweets_raw)
    store.deliver(GOOD, moment(9), "again.csv")
    [row] = store.load(THRESHOLDS)
    assert (row["state"], row["run_id"], row["delivered_at"]) == ("loaded", "run", moment(1))
    assert {time for (sha256, _), (*_, time) in store.log().items() if sha256 == sha256_of(GOOD)} == {
        moment(1)
    }


def test_reopened_dump_is_loaded_after_maintenance_has_deleted_its_rows(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.deliver(GOOD, moment(1))
    store.load(THRESHOLDS)
    sha256 = sha256_of(GOOD)
    DeltaTable(store.tables.tweets_raw).delete(f"dump_sha256 = '{sha256}'")
    assert store.decide(sha256, "retract") == 0
    assert store.decide(sha256, "reopen", thresholds=THRESHOLDS) == 0
    assert len(store.log()) == 2


FUTURE = datetime(2036, 1, 1, tzinfo=UTC)


def test_delivery_that_a_wrong_clock_has_dated_in_the_future_gets_the_time_of_processing(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store")
    started = datetime.now(UTC).replace(microsecond=0)
    for number, time in enumerate((FUTURE, FUTURE + timedelta(days=1))):
        store.deliver(f"{HEADER}A1,text {number},0\n".encode(), time, f"{number}.csv")
    rows = store.load(None)
    assert [started <= row["delivered_at"] <= datetime.now(UTC) for row in rows] == [True, True]
    assert "it was dated 2036-01-01 00:00 UTC by a wrong clock" in rows[0]["notes"]
    # The order of the deliveries stays, and a delivery with the right clock supersedes them.
    assert current_tweets(store.log())["A1"][0] == "text 1"
    store.deliver(f"{HEADER}A1,newest text,0\n".encode(), datetime.now(UTC) + timedelta(seconds=1), "n.csv")
    [row] = store.load(None)
    assert row["notes"] is None or "wrong clock" not in row["notes"]  # clocks differ by seconds
    assert current_tweets(store.log())["A1"][0] == "newest text"


def test_retry_after_a_crash_keeps_the_time_of_the_rows_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.deliver(GOOD, FUTURE)
    with monkeypatch.context() as patch:
        patch.setattr(Loader, "write_row", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.load(None)
    [time] = {time for *_, time in store.log().values()}
    [row] = store.load(None)
    assert row["delivered_at"] == time


def test_loaded_dump_with_a_time_in_the_future_gets_another_one_when_it_is_reopened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The clock was wrong at the delivery and at the loading.
    store = Store(tmp_path / "store")
    store.deliver(GOOD, moment(1))
    [delivery] = store.files().deliveries()
    loader = store.loader(thresholds=None)
    with loader.validate(delivery.path, delivery.source) as dump:
        loader.store(dump, Delivery(FUTURE, "first.csv", delivery.path), {})
    loader.files.move_to_raw(delivery.path, sha256_of(GOOD))
    store.deliver(f"{HEADER}A1,corrected text,0\n".encode(), moment(5), "correction.csv")
    store.load(None)
    assert current_tweets(store.log())["A1"][0] == "first text"
    sha256 = sha256_of(GOOD)
    assert store.decide(sha256, "retract") == 0
    assert store.decide(sha256, "reopen", thresholds=THRESHOLDS) == 65
    assert "2036-01-01 00:00:00+00:00 of the dump first.csv is in the future" in capsys.readouterr().err
    given = f"--delivered-at={moment(1).isoformat()}"
    assert store.decide(sha256, "reopen", thresholds=THRESHOLDS, more=[given]) == 0
    assert row_of(store, GOOD)["delivered_at"] == moment(1)
    assert current_tweets(store.log())["A1"][0] == "corrected text"
