"""How a dump comes into HDFS: whole or not at all, under the name of its content."""

import hashlib
import io
import os
import time
import urllib.request
from contextlib import contextmanager

import pytest
from hdfs import HdfsError
from vaxpulse_airflow.dumps import claim_dump, is_finished, keep_claimed, landed_dumps, landed_local_dumps, store_dump

from tests.plugins.memory_hdfs import MemoryHdfs

CONTENT = b"tweet_id,safe_text\r\nA1,hello\r\n" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RAW, LANDING, CLAIMED = "/raw", "/landing", "/claimed"
PATH = f"{RAW}/{SHA256}.csv"


@pytest.fixture
def hdfs():
    return MemoryHdfs()


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "a dump.csv"
    path.write_bytes(CONTENT)
    return path


def test_dump_is_kept_byte_for_byte_under_its_hash(hdfs, dump):
    assert store_dump(str(dump), hdfs, RAW) == SHA256
    assert hdfs.files == {PATH: CONTENT}


def test_dump_is_uploaded_under_another_name_first(hdfs, dump):
    store_dump(str(dump), hdfs, RAW)
    [upload] = hdfs.uploads
    assert upload != PATH


def test_same_content_under_another_name_is_not_sent_again(hdfs, dump, tmp_path):
    store_dump(str(dump), hdfs, RAW)
    renamed = dump.rename(tmp_path / "other.csv")
    assert store_dump(str(renamed), hdfs, RAW) == SHA256
    assert hdfs.files == {PATH: CONTENT}
    assert len(hdfs.uploads) == 1


def test_dump_elsewhere_in_hdfs_is_copied(hdfs):
    hdfs.put("/elsewhere/june.csv", CONTENT)
    assert store_dump("hdfs://namenode:8020/elsewhere/june.csv", hdfs, RAW) == SHA256
    assert hdfs.files == {PATH: CONTENT, "/elsewhere/june.csv": CONTENT}


def test_url_is_read(hdfs, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(CONTENT))
    assert store_dump("https://example.org/dump.csv", hdfs, RAW) == SHA256


def test_short_upload_is_an_error_and_leaves_nothing(dump):
    hdfs = MemoryHdfs(lost_bytes=1)
    with pytest.raises(OSError, match=r"holds .* of the"):
        store_dump(str(dump), hdfs, RAW)
    assert hdfs.files == {}


def test_source_that_breaks_off_leaves_nothing(hdfs, monkeypatch):
    class BrokenAnswer(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 0:
                raise ConnectionResetError("the server hung up")
            return super().read(100)

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: BrokenAnswer(CONTENT))
    with pytest.raises(ConnectionResetError):
        store_dump("http://example.org/dump.csv", hdfs, RAW)
    assert hdfs.files == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/dump.csv", "there is no dump /no/such/dump.csv on this machine"),
        ("hdfs://namenode:8020/no/such.csv", "there is no dump /no/such.csv in HDFS"),
        ("ftp://example.org/dump.csv", "cannot read a dump from ftp"),
    ],
)
def test_unreadable_source_is_named(hdfs, source, message):
    with pytest.raises(ValueError, match=message):
        store_dump(source, hdfs, RAW)


def test_empty_dump_is_refused(hdfs, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(ValueError, match="is empty"):
        store_dump(str(empty), hdfs, RAW)
    assert hdfs.files == {}


@pytest.mark.parametrize("name", [".june.csv", "_june.csv", "june.csv.part", "june.csv.tmp", "june.csv._COPYING_"])
def test_unfinished_name_is_passed_over(hdfs, tmp_path, name):
    hdfs.put(f"{LANDING}/{name}", CONTENT)
    (tmp_path / name).write_bytes(CONTENT)
    os.utime(tmp_path / name, (0, 0))
    assert not is_finished(name)
    assert landed_dumps(hdfs, LANDING) == []
    assert landed_local_dumps(tmp_path) == []


def test_file_that_is_still_written_is_left_alone(hdfs, tmp_path):
    hdfs.put(f"{LANDING}/june.csv", CONTENT[:50], seconds_ago=1)
    (tmp_path / "june.csv").write_bytes(CONTENT[:50])
    assert landed_dumps(hdfs, LANDING) == []
    assert landed_local_dumps(tmp_path) == []


def test_file_that_is_open_in_hdfs_is_left_alone_however_old_it_looks(hdfs):
    # HDFS keeps the time of the creation, and the length of the whole blocks, until the writer closes the file
    hdfs.put(f"{LANDING}/june.csv", b"", seconds_ago=3600)
    hdfs.open_files.add(f"{LANDING}/june.csv")
    assert landed_dumps(hdfs, LANDING) == []
    with pytest.raises(ValueError, match=r"still writing the dump /landing/june\.csv to HDFS"):
        store_dump(f"hdfs://namenode:8020{LANDING}/june.csv", hdfs, RAW)
    hdfs.open_files.clear()
    assert landed_dumps(hdfs, LANDING) == [f"{LANDING}/june.csv"]


def test_file_that_goes_between_two_looks_is_no_landed_file(hdfs, monkeypatch):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    listed = hdfs.list(LANDING, status=True)
    hdfs.delete(f"{LANDING}/june.csv")
    monkeypatch.setattr(hdfs, "list", lambda *_, **__: listed)
    hdfs.put(f"{LANDING}/july.csv", CONTENT)
    assert landed_dumps(hdfs, LANDING) == []


@pytest.mark.parametrize("known", [False, True])
def test_file_that_is_replaced_while_it_is_claimed_stays(hdfs, monkeypatch, known):
    if known:
        hdfs.put(PATH, CONTENT)
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    read = hdfs.read

    @contextmanager
    def read_while_another_writes(path, chunk_size=0):
        with read(path, chunk_size) as chunks:
            hdfs.put(path, b"something new", seconds_ago=30)
            yield chunks

    monkeypatch.setattr(hdfs, "read", read_while_another_writes)
    assert claim_dump(f"{LANDING}/june.csv", hdfs, CLAIMED, RAW) is None
    assert hdfs.files[f"{LANDING}/june.csv"] == b"something new"


def test_landed_files_come_oldest_first_so_that_the_newest_wins(hdfs, tmp_path):
    for name, seconds_ago in (("a.csv", 60), ("b.csv", 120)):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - seconds_ago,) * 2)
    assert landed_dumps(hdfs, LANDING) == [f"{LANDING}/b.csv", f"{LANDING}/a.csv"]
    assert landed_local_dumps(tmp_path) == [str(tmp_path / "b.csv"), str(tmp_path / "a.csv")]


def test_missing_landing_folders_are_empty(hdfs, tmp_path):
    assert landed_dumps(hdfs, LANDING) == []
    assert landed_local_dumps(tmp_path / "nowhere") == []


def test_claimed_file_comes_to_the_place_of_its_content_with_the_name_it_had(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    assert claim_dump(f"{LANDING}/june.csv", hdfs, CLAIMED, RAW) == SHA256
    assert landed_dumps(hdfs, LANDING) == []
    assert keep_claimed(hdfs, CLAIMED, RAW) == {SHA256: "june.csv"}
    assert hdfs.files == {PATH: CONTENT}


@pytest.mark.parametrize("stage", ["claimed", "kept"])
def test_content_that_was_delivered_before_is_claimed_by_nobody(hdfs, stage):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    claim_dump(f"{LANDING}/june.csv", hdfs, CLAIMED, RAW)
    if stage == "kept":
        keep_claimed(hdfs, CLAIMED, RAW)
    hdfs.put(f"{LANDING}/june again.csv", CONTENT)
    assert claim_dump(f"{LANDING}/june again.csv", hdfs, CLAIMED, RAW) is None
    assert list(hdfs.files.values()) == [CONTENT]


def test_of_two_that_claim_one_file_the_second_goes_without(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def rename_after_another(source, destination):
        rename(source, destination)  # the other one is a little faster
        raise HdfsError("Unable to rename")

    hdfs.rename = rename_after_another
    assert claim_dump(f"{LANDING}/june.csv", hdfs, CLAIMED, RAW) is None
    assert list(hdfs.files.values()) == [CONTENT]
