"""Delivery from the local landing folder. No file is lost or delivered twice, also after a crash."""

import os
import re
import time

import pytest
from vaxpulse_airflow.landing import Path, deliver_dump, deliver_landed_locally

from contracts.hdfs_paths import DELIVERED
from tests.plugins.memory_hdfs import MemoryHdfs
from tests.plugins.test_landing import CONTENT, HDFS, is_recent, sources


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
    assert [path for path in landing.rglob("*") if path.is_file()] == []


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
    assert [path.read_bytes() for path in (landing / "uploading").iterdir()] == [CONTENT]
    broken_upload.undo()
    assert deliver_landed_locally(hdfs, landing).sources == ["a dump.csv"]


def test_file_that_an_interrupted_call_has_uploaded_is_delivered_once(hdfs, landing):
    deliver_landed_locally(hdfs, landing)
    [delivered] = hdfs.files
    (landing / "uploading" / delivered.rpartition("/")[2]).write_bytes(CONTENT)
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
        deliver_dump(hdfs, "june.csv", missing, HDFS)
    delivered, [problem] = deliver_landed_locally(hdfs, missing)
    assert delivered == []
    assert re.fullmatch(message, problem)


def test_incomplete_upload_is_an_error_and_leaves_no_file_in_hdfs(landing):
    hdfs = MemoryHdfs(lost_bytes=1)
    [problem] = deliver_landed_locally(hdfs, landing).problems
    assert [path.read_bytes() for path in (landing / "uploading").iterdir()] == [CONTENT]
    assert "HDFS has stored 2,999,999 of 3,000,000 bytes" in problem
    assert hdfs.files == {}


def test_one_dump_is_delivered_without_the_others(hdfs, landing):
    (landing / "other.csv").write_bytes(b"other")
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]
    assert (landing / "other.csv").exists()
    assert all(map(is_recent, hdfs.files))


def test_interrupted_upload_of_one_dump_is_repeated_by_a_retry(hdfs, landing, broken_upload):
    with pytest.raises(ConnectionError):
        deliver_dump(hdfs, "a dump.csv", landing, HDFS)
    broken_upload.undo()
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]


def test_two_files_with_equal_name_and_time_are_both_delivered(hdfs, landing):
    (landing / "uploading").mkdir(mode=0o700)
    for content in (b"first", b"second"):
        (landing / "uploading" / "20261124T230825.123Z-june.csv").write_bytes(content)
        deliver_landed_locally(hdfs, landing)
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
    assert sorted(delivered) == ["?.csv", "a dump.csv"]
    assert problems == ["'b.csv': PermissionError: not allowed"]


def test_symlinks_in_place_of_claims_are_not_followed(hdfs, landing, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "20261124T230825.123Z-secret.csv").write_text("password")
    (landing / "uploading").symlink_to(other)
    with pytest.raises(PermissionError, match="only the user of Airflow's tasks may write to"):
        deliver_landed_locally(hdfs, landing)
    (landing / "uploading").unlink()
    (landing / "uploading").mkdir(mode=0o700)
    (landing / "uploading" / "20261124T230825.123Z-x.csv").symlink_to(
        other / "20261124T230825.123Z-secret.csv"
    )
    assert deliver_landed_locally(hdfs, landing).sources == ["a dump.csv"]
    assert list(hdfs.files.values()) == [CONTENT]
    assert [path.read_text() for path in other.iterdir()] == ["password"]


@pytest.mark.parametrize("dump", ["/proc/self/environ", "../secret.csv", "link.csv", "file:///etc/passwd"])
def test_file_outside_the_landing_folder_is_not_read(hdfs, landing, dump):
    (landing.parent / "secret.csv").write_text("password")
    (landing / "link.csv").symlink_to(landing.parent / "secret.csv")
    with pytest.raises(ValueError, match="is outside the landing folder"):
        deliver_dump(hdfs, dump, landing, HDFS)
    os.utime(landing / "link.csv", (0, 0), follow_symlinks=False)
    deliver_landed_locally(hdfs, landing)
    assert sources(hdfs) == ["a dump.csv"]


def test_missing_local_file_is_an_error_that_names_the_worker(hdfs, landing):
    message = "the worker .* has no file .*no such dump.csv: put it into the landing folder"
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, "no such dump.csv", landing, HDFS)
