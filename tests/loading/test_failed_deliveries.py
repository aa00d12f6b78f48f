"""Deliveries that cannot be read or stored: when they are tried again, and when they are failed."""

import errno
import hashlib
import json
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from deltalake.exceptions import CommitFailedError

from contracts.exit_status import NOTHING_TO_DO
from loading import process_deliveries
from loading.files import DumpFiles
from loading.loader import Loader
from tests.loading.test_load_dumps import HEADER, run, start
from tests.properties.loading_model import Store, moment

BROKEN = f"{HEADER}A1,one of them,0.0,1.0\n".encode()
SHA256 = hashlib.sha256(BROKEN).hexdigest()
NAME_SHA256 = hashlib.sha256(b"20261101T000000.000Z-broken.csv").hexdigest()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a delivery `broken.csv`. The memory of the test process is not limited."""
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    store = Store(tmp_path / "store")
    store.deliver(BROKEN, moment(0), "broken.csv")
    return store


def fail_validation(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[str]:
    """Let the validation of `broken.csv` raise an error. Return the list to which each try is added."""
    tries: list[str] = []
    validate = Loader.validate

    def failing(loader: Loader, path: str, source: str) -> object:
        if source == "broken.csv":
            tries.append(path)
            raise error
        return validate(loader, path, source)

    monkeypatch.setattr(Loader, "validate", failing)
    return tries


def try_again(store: Store, run_id: str = "run", *more: str) -> int:
    """Run the loader as Airflow does. Return its exit status."""
    try:
        return run(store, run_id, *more)
    except SystemExit:
        return 1


def states(store: Store) -> dict[str, tuple[str, str | None]]:
    return {row["source"]: (row["state"], row["reason"]) for row in store.rows("dumps")}


def test_delivery_is_failed_after_three_tries_and_later_runs_succeed(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = fail_validation(monkeypatch, MemoryError("no memory"))
    assert [try_again(store) for _ in range(3)] == [1, 1, NOTHING_TO_DO]
    reason = "3 tries have failed, the last one with MemoryError: no memory"
    assert states(store) == {"broken.csv": ("failed", reason)}
    [row] = store.rows("dumps")
    assert (row["dump_sha256"], row["bytes"], row["delivered_at"]) == (SHA256, len(BROKEN), moment(0))
    assert (row["records"], row["label_distance"]) == (0, None)
    # The file is aside, with its bytes.
    assert store.files().deliveries() == []
    assert (store.folder / "raw" / f"{SHA256}.csv").read_bytes() == BROKEN
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["failed"], summary["errors"]) == (1, [])
    # Later runs do not read it, and load others.
    store.deliver(f"{HEADER}A2,another one,0.0,1.0\n".encode(), moment(1), "good.csv")
    assert try_again(store, "later") == 0
    assert (len(tries), set(states(store))) == (3, {"broken.csv", "good.csv"})
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == []


def test_other_deliveries_of_the_same_run_are_loaded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_validation(monkeypatch, KeyError("a bug"))
    store.deliver(f"{HEADER}A2,another one,0.0,1.0\n".encode(), moment(1), "good.csv")
    assert try_again(store, "run", "--max-tries=1") == 0
    assert {source: state for source, (state, _) in states(store).items()} == {
        "broken.csv": "failed",
        "good.csv": "loaded",
    }


def test_tries_of_one_run_count_once_if_the_file_cannot_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A DataNode may be away for longer than Airflow's retries last.
    fail_validation(monkeypatch, OSError("missing block"))
    assert [try_again(store, "first") for _ in range(5)] == [1] * 5
    assert [try_again(store, run_id) for run_id in ("second", "second", "third")] == [1, 1, NOTHING_TO_DO]
    assert states(store)["broken.csv"][0] == "failed"


def test_delivery_whose_bytes_cannot_be_read_is_recorded_by_its_name_and_can_be_reopened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing_block(files: DumpFiles, path: str) -> object:
        raise OSError("missing block")

    with monkeypatch.context() as patch:
        patch.setattr(DumpFiles, "open", missing_block)
        assert try_again(store, "run", "--max-tries=1") == NOTHING_TO_DO
        with pytest.raises(OSError, match="missing block"):
            store.decide(NAME_SHA256, "reopen")
    [row] = store.rows("dumps")
    assert (row["dump_sha256"], row["state"], row["bytes"]) == (NAME_SHA256, "failed", len(BROKEN))
    assert store.decide(NAME_SHA256, "reopen") == 0
    [row] = store.rows("dumps")
    assert (row["dump_sha256"], row["state"], row["delivered_at"]) == (SHA256, "loaded", moment(0))
    assert [file.name for file in (store.folder / "raw").iterdir()] == [f"{SHA256}.csv"]


def test_mapping_that_does_not_fit_fails_its_delivery_at_once(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.deliver(f"{HEADER}A2,good one,0.0,1.0\n".encode(), moment(1), "good.csv")
    mapping = ('--mapping={"text": "texts"}', "--mapping-source=broken.csv")
    assert try_again(store, "run", *mapping) == 0
    out, err = capsys.readouterr()
    state, reason = states(store)["broken.csv"]
    assert (state, json.loads(out.splitlines()[-1])["errors"]) == ("failed", [])
    assert reason is not None
    assert reason.startswith("the mapping's text names the column 'texts'")
    assert "Traceback" not in err
    assert store.decide(SHA256, "reopen", mapping='{"text": "safe_text"}') == 0
    assert states(store)["broken.csv"] == ("loaded", "reopened: checked by a person")


def test_wrong_mapping_does_not_end_the_review_of_a_held_dump(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    held = b"id,tweet,label\nA1B,one of them,0\nA9C,two,1\n"
    (store.folder / "delivered" / "20261101T000000.000Z-broken.csv").unlink()
    store.deliver(held, moment(0), "held.csv")
    assert try_again(store) == NOTHING_TO_DO
    store.deliver(held, moment(1), "again.csv")
    mapping = ('--mapping={"text": "texts"}', "--mapping-source=again.csv")
    assert try_again(store, "later", *mapping) == 1
    assert states(store)["held.csv"][0] == "held"
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == ["again.csv"]


class UnavailableFiles(DumpFiles):
    """Files in HDFS in safe mode: they can be read, but not written."""

    def is_available(self) -> bool:
        return False


@pytest.mark.parametrize("error", [OSError("Name node is in safe mode"), RuntimeError("no table")])
def test_tries_during_an_outage_do_not_count(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries = fail_validation(monkeypatch, error)
    with monkeypatch.context() as patch:
        patch.setattr(process_deliveries, "DumpFiles", UnavailableFiles)
        assert [try_again(store, f"run {i}", "--max-tries=1") for i in range(3)] == [1] * 3
    assert (len(tries), states(store)) == (3, {})
    assert len(store.files().deliveries()) == 1
    assert try_again(store, "run", "--max-tries=1") == NOTHING_TO_DO
    assert states(store)["broken.csv"][0] == "failed"


def test_conflicts_of_commits_do_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_validation(monkeypatch, CommitFailedError("Failed to commit transaction"))
    assert try_again(store, "run", "--max-tries=1") == 1
    assert states(store) == {}


@pytest.mark.parametrize(("free_bytes", "state"), [(2**20, None), (2**40, "failed")])
def test_full_local_disk_counts_only_if_the_records_of_the_dump_have_filled_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, free_bytes: int, state: str | None
) -> None:
    fail_validation(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free_bytes))
    try_again(store, "run", "--max-tries=1")
    assert states(store).get("broken.csv", (None, None))[0] == state


def test_probe_writes_reads_and_deletes_a_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.files().is_available()
    assert list((store.folder / "raw").iterdir()) == []
    shutil.rmtree(store.folder / "raw")
    (store.folder / "raw").write_text("a file instead of the folder")
    assert not store.files().is_available()


def test_failure_that_cannot_be_counted_does_not_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_validation(monkeypatch, ValueError("a bug"))
    monkeypatch.setattr(process_deliveries, "count_failure", lambda *_: {}["no such key"])
    store.deliver(f"{HEADER}A2,another one,0.0,1.0\n".encode(), moment(1), "good.csv")
    assert try_again(store) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["errors"] == ["broken.csv"]


def test_dump_that_aborts_the_process_three_times_is_failed(store: Store, tmp_path: Path) -> None:
    (store.folder / "delivered" / "20261101T000000.000Z-broken.csv").unlink()
    store.deliver(f"{HEADER}A1,the fatal one,0.0,1.0\n".encode(), moment(0), "fatal.csv")
    for status in (1, 1, NOTHING_TO_DO):
        process = start(store, tmp_path)
        process.communicate()
        assert process.returncode == status
    state, reason = states(store)["fatal.csv"]
    assert state == "failed"
    assert reason is not None
    assert "(limit: 8 GiB). Deliver it in smaller parts" in reason


def test_crash_is_counted_once_if_later_deliveries_crash_the_process_too(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed: list[str] = []
    for minute, name in enumerate(("a.csv", "b.csv", "c.csv", "d.csv"), 1):
        store.deliver(f"{HEADER}A{minute},one of them,0.0,1.0\n".encode(), moment(minute), name)
        [path] = [each.path for each in store.files().deliveries() if each.source == name]
        crashed.append(f"--crashed={path}")
        try_again(store, "run", *crashed)  # as load_dumps restarts the process
    out = capsys.readouterr().out
    counted = [line for line in out.splitlines() if "failure" in line]
    assert counted == [f"{name}.csv: failure 1 of 3" for name in "abcd"]
    assert json.loads(out.splitlines()[-1])["errors"] == ["a.csv", "b.csv", "c.csv", "d.csv"]
    assert set(states(store)) == {"broken.csv"}
