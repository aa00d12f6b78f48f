"""Delivery from the local landing folder. No file is lost or delivered twice, also after a crash."""

import os
import re
import time

import pytest

from contracts.hdfs_paths import DELIVERED
from tests.plugins.memory_hdfs import MemoryHdfs
from tests.plugins.test_landing import CONTENT, HDFS, LIMITS, is_recent, sources
from vaxpulse_airflow.landing import Path, deliver_dump, deliver_landed_locally


@pytest.fixture
def hdfs():
    return MemoryHdfs()


@pytest.fixture
def landing(tmp_path):
    """Return a landing folder with one dump that was written a minute ago."""
    path = tmp_path / "a dump.csv"
    path.write_bytes(CONTENT)
    os.utime(path, (time.time() - 60,) * 2)
    return tmp_path


def files(landing):
    """Return the files of a landing folder and of its folders `uploading` and `uploaded`, by name."""
    return sorted(
        str(path.relative_to(landing).parents[-2] / path.name) if path.parent != landing else path.name
        for path in landing.rglob("*")
        if path.is_file()
    )


@pytest.fixture
def broken_upload(hdfs, monkeypatch):
    """Make HDFS refuse writes within the returned context."""

    def fail(*_, **__):
        raise ConnectionError("HDFS is down")

    with monkeypatch.context() as patch:
        patch.setattr(hdfs, "write", fail)
        yield patch


def test_local_file_is_uploaded_to_a_hidden_name_and_then_deleted(hdfs, landing):
    assert deliver_landed_locally(hdfs, landing) == (["a dump.csv"], [])
    assert list(hdfs.files.values()) == [CONTENT]
    assert sources(hdfs) == ["a dump.csv"]
    [upload] = hdfs.uploads
    assert upload.startswith(f"{DELIVERED}/.uploading-")
    assert all(map(is_recent, hdfs.files))
    assert files(landing) == ["uploaded/a dump.csv"]


def test_uploaded_file_is_removed_after_a_day(hdfs, landing):
    deliver_landed_locally(hdfs, landing)
    assert deliver_landed_locally(hdfs, landing) == ([], [])
    assert files(landing) == ["uploaded/a dump.csv"]
    [uploaded] = (landing / "uploaded").iterdir()
    os.utime(uploaded, (time.time() - 90_000,) * 2)
    assert deliver_landed_locally(hdfs, landing) == ([], [])
    assert list((landing / "uploaded").iterdir()) == []
    assert list(hdfs.files.values()) == [CONTENT]


@pytest.mark.parametrize("named", [False, True])
def test_bytes_that_a_writer_adds_after_the_delivery_are_delivered(hdfs, landing, named):
    with (landing / "a dump.csv").open("ab") as writer:
        os.utime(landing / "a dump.csv", (time.time() - 60,) * 2)
        if named:
            deliver_dump(hdfs, "a dump.csv", landing, HDFS, LIMITS)
        else:
            deliver_landed_locally(hdfs, landing)
        writer.write(b"A2,more\r\n")
    assert deliver_landed_locally(hdfs, landing) == ([], [])  # it may not be complete yet
    [path] = landing.glob("uploaded/*/*")
    os.utime(path, (time.time() - 30,) * 2)
    assert deliver_landed_locally(hdfs, landing) == (["a dump.csv"], [])
    assert list(hdfs.files.values()) == [CONTENT, CONTENT + b"A2,more\r\n"]
    assert sources(hdfs) == ["a dump.csv"] * 2
    assert files(landing) == ["uploaded/a dump.csv"]
    assert deliver_landed_locally(hdfs, landing) == ([], [])


def test_file_that_changes_while_it_is_read_is_not_delivered_before_it_is_complete(
    hdfs, landing, monkeypatch
):
    write = hdfs.write

    def append_and_write(path, data):
        with next(landing.glob("uploading/*/*")).open("ab") as writer:
            writer.write(b"A2,more\r\n")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(hdfs, "write", append_and_write)
        [problem] = deliver_landed_locally(hdfs, landing).problems
    assert "3,000,009 bytes were received instead of 3,000,000" in problem
    assert hdfs.files == {}
    assert deliver_landed_locally(hdfs, landing).sources == ["a dump.csv"]
    assert list(hdfs.files.values()) == [CONTENT + b"A2,more\r\n"]


def test_file_with_another_name_is_not_kept_because_that_name_has_later_bytes(hdfs, landing):
    (landing / ".original").hardlink_to(landing / "a dump.csv")
    deliver_landed_locally(hdfs, landing)
    assert files(landing) == [".original"]


def test_foreign_entries_of_the_folders_are_reported_and_do_not_stop_the_others(hdfs, landing):
    for folder in ("uploading", "uploaded"):
        (landing / folder).mkdir(mode=0o700)
        (landing / folder / "foreign").write_text("x")
        (landing / folder / "empty").mkdir()
    delivered, problems = deliver_landed_locally(hdfs, landing)
    assert delivered == ["a dump.csv"]
    assert sorted(problem.split(":")[0] for problem in problems) == ["empty", "foreign", "foreign"]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_claim_that_is_not_a_regular_file_is_reported_and_not_waited_for(hdfs, landing, kind):
    claim = landing / "uploading" / "20261124T230825.123000"
    claim.mkdir(parents=True)
    (landing / "uploading").chmod(0o700)
    os.mkfifo(claim / "b.csv") if kind == "pipe" else (claim / "b.csv").symlink_to("/etc/passwd")
    delivered, [problem] = deliver_landed_locally(hdfs, landing)
    assert delivered == ["a dump.csv"]
    assert problem.startswith("b.csv: ")


def test_file_that_vanishes_during_the_listing_does_not_stop_the_others(hdfs, landing, monkeypatch):
    (landing / "gone.csv").touch()
    lstat = Path.lstat

    def vanish(path):
        if path.name == "gone.csv":
            path.unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", vanish)
    assert deliver_landed_locally(hdfs, landing) == (["a dump.csv"], [])


def test_local_file_with_a_future_mtime_is_delivered(hdfs, landing):
    os.utime(landing / "a dump.csv", (time.time() + 86_400,) * 2)
    assert deliver_landed_locally(hdfs, landing).sources == ["a dump.csv"]


@pytest.mark.parametrize("name", [".june.csv", "june.csv.part", "june.csv"])
def test_unfinished_or_recently_modified_local_file_is_not_delivered(hdfs, tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT[:50])
    if name != "june.csv":
        os.utime(tmp_path / name, (0, 0))
    assert deliver_landed_locally(hdfs, tmp_path) == ([], [])


def test_interrupted_upload_is_repeated_by_the_next_call(hdfs, landing, broken_upload):
    delivered, [problem] = deliver_landed_locally(hdfs, landing)
    assert delivered == []
    assert "HDFS is down" in problem
    assert hdfs.files == {}
    assert [path.read_bytes() for path in landing.glob("uploading/*/*")] == [CONTENT]
    broken_upload.undo()
    assert deliver_landed_locally(hdfs, landing).sources == ["a dump.csv"]


def test_file_that_an_interrupted_call_has_uploaded_is_delivered_once(hdfs, landing):
    deliver_landed_locally(hdfs, landing)
    [uploaded] = (landing / "uploaded").iterdir()
    uploaded.rename(landing / "uploading" / uploaded.name.split("-")[0])
    assert deliver_landed_locally(hdfs, landing).problems == []
    assert list(hdfs.files.values()) == [CONTENT]


def test_empty_local_file_does_not_stop_the_others(hdfs, landing):
    (landing / "0.csv").touch()
    os.utime(landing / "0.csv", (0, 0))
    # Both files have about the same ctime, so their order is undefined.
    assert sorted(deliver_landed_locally(hdfs, landing).sources) == ["0.csv", "a dump.csv"]


def test_missing_landing_folder_is_an_error_that_names_the_worker(hdfs, landing):
    missing = landing / "not mounted"
    message = "the worker .* has no folder .*not mounted: VAXPULSE_LANDING must name a folder that .* share"
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, "june.csv", missing, HDFS, LIMITS)
    delivered, [problem] = deliver_landed_locally(hdfs, missing)
    assert delivered == []
    assert re.fullmatch(message, problem)


def test_incomplete_upload_is_an_error_and_leaves_no_file_in_hdfs(landing):
    hdfs = MemoryHdfs(lost_bytes=1)
    [problem] = deliver_landed_locally(hdfs, landing).problems
    assert [path.read_bytes() for path in landing.glob("uploading/*/*")] == [CONTENT]
    assert "HDFS has stored 2,999,999 of 3,000,000 bytes" in problem
    assert hdfs.files == {}


def test_one_dump_is_delivered_without_the_others(hdfs, landing):
    (landing / "other.csv").write_bytes(b"other")
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS, LIMITS) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]
    assert (landing / "other.csv").exists()
    assert all(map(is_recent, hdfs.files))


def test_interrupted_upload_of_one_dump_is_repeated_by_a_retry(hdfs, landing, broken_upload):
    with pytest.raises(ConnectionError):
        deliver_dump(hdfs, "a dump.csv", landing, HDFS, LIMITS)
    broken_upload.undo()
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS, LIMITS) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]


def test_two_files_with_equal_name_and_time_are_both_delivered(hdfs, landing):
    (landing / "uploading").mkdir(mode=0o700)
    for content in (b"first", b"second"):
        claim = landing / "uploading" / "20261124T230825.123000"
        claim.mkdir()
        (claim / "june.csv").write_bytes(content)
        assert deliver_landed_locally(hdfs, landing).problems == []
    assert sorted(hdfs.files.values()) == sorted([CONTENT, b"first", b"second"])


def test_local_file_that_cannot_be_claimed_does_not_stop_the_others(hdfs, landing, monkeypatch):
    (landing / os.fsdecode(b"\xff.csv")).write_bytes(b"undecodable name")
    (landing / "b.csv").write_bytes(b"b")
    for path in landing.iterdir():
        os.utime(path, (0, 0))
    rename = Path.rename

    def refuse(path, target):
        if path.name == "b.csv":
            raise PermissionError("not allowed")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    delivered, problems = deliver_landed_locally(hdfs, landing)
    assert sorted(delivered) == ["\\udcff.csv", "a dump.csv"]
    assert problems == ["b.csv: PermissionError: not allowed"]


def test_symlinks_in_place_of_claims_are_not_followed(hdfs, landing, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "20261124T230825.123Z-secret.csv").write_text("password")
    (landing / "uploading").symlink_to(other)
    delivered, problems = deliver_landed_locally(hdfs, landing)
    assert delivered == []
    message = "must be a folder that only the user of Airflow's tasks may write to: remove it"
    assert all(message in problem for problem in problems)
    (landing / "uploading").unlink()
    (landing / "uploading").mkdir(mode=0o700)
    (landing / "uploading" / "20261124T230825.123000").symlink_to(other)
    delivered, [problem] = deliver_landed_locally(hdfs, landing)
    assert delivered == ["a dump.csv"]
    assert "it was not created by a delivery" in problem
    assert list(hdfs.files.values()) == [CONTENT]
    assert [path.read_text() for path in other.iterdir()] == ["password"]


@pytest.mark.parametrize("dump", ["/proc/self/environ", "../secret.csv", "link.csv", "file:///etc/passwd"])
def test_file_outside_the_landing_folder_is_not_read(hdfs, landing, dump):
    (landing.parent / "secret.csv").write_text("password")
    (landing / "link.csv").symlink_to(landing.parent / "secret.csv")
    with pytest.raises(ValueError, match="is outside the landing folder"):
        deliver_dump(hdfs, dump, landing, HDFS, LIMITS)
    os.utime(landing / "link.csv", (0, 0), follow_symlinks=False)
    deliver_landed_locally(hdfs, landing)
    assert sources(hdfs) == ["a dump.csv"]


def test_missing_local_file_is_an_error_that_names_the_worker(hdfs, landing):
    message = "the worker .* has no file .*no such dump.csv: put it into the landing folder"
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, "no such dump.csv", landing, HDFS, LIMITS)
