"""Delivery from the landing folder in HDFS, and of a dump that is already in HDFS."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from hdfs import HdfsError
from vaxpulse_airflow import landing
from vaxpulse_airflow.landing import deliver_dump, deliver_everything, deliver_landed
from vaxpulse_airflow.names import is_finished
from vaxpulse_airflow.webhdfs import find_status

from contracts.hdfs_paths import DELIVERED, LANDING
from loading.files import DELIVERED_NAME, DumpFiles
from tests.plugins.memory_hdfs import MemoryHdfs

CONTENT = b"tweet_id,safe_text\r\nA1,hello\r\n" * 100_000
HDFS = "hdfs://namenode:8020"


@pytest.fixture
def hdfs():
    return MemoryHdfs()


def sources(hdfs):
    """Return the sources in the names of the delivered files, in the order of delivery."""
    return [
        DELIVERED_NAME.match(path.rpartition("/")[2])[2]
        for path in sorted(hdfs.files)
        if path.startswith(f"{DELIVERED}/")
    ]


def is_recent(path):
    """Return whether the name of a delivered file has a time within the last 30 seconds."""
    moment = DELIVERED_NAME.match(path.rpartition("/")[2])[1]
    now = datetime.now(UTC)
    return f"{now - timedelta(seconds=30):%Y%m%dT%H%M%S}" <= moment <= f"{now:%Y%m%dT%H%M%S.%f}"


def test_landed_file_is_renamed_to_time_and_source_without_reading_it(hdfs):
    # A move preserves the mtime: an old file that arrives now gets the current time.
    hdfs.put(f"{LANDING}/june.csv", CONTENT, seconds_ago=30 * 86_400)
    assert deliver_landed(hdfs) == (["june.csv"], [])
    [(path, content)] = hdfs.files.items()
    assert path.endswith("Z-june.csv")
    assert is_recent(path)
    assert content == CONTENT
    assert hdfs.uploads == []


def test_file_with_a_future_mtime_is_delivered(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT, seconds_ago=-86_400)
    assert deliver_landed(hdfs).sources == ["june.csv"]


def test_files_are_delivered_in_the_order_of_their_mtime(hdfs):
    for name, seconds_ago in (("a.csv", 60), ("b.csv", 120)):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
    assert deliver_landed(hdfs).sources == ["b.csv", "a.csv"]
    assert sources(hdfs) == ["b.csv", "a.csv"]


def test_two_files_with_equal_name_and_mtime_are_both_delivered(hdfs):
    for _ in range(2):
        hdfs.put(f"{LANDING}/june.csv", CONTENT)
        hdfs.modified[f"{LANDING}/june.csv"] = 1_000_000
        assert deliver_landed(hdfs).sources == ["june.csv"]
    assert sources(hdfs) == ["june.csv", "june.csv"]


def test_file_that_is_replaced_before_the_rename_is_delivered_with_its_new_content(hdfs, monkeypatch):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def replace_and_rename(source, destination):
        if source.startswith(LANDING):
            hdfs.put(source, b"something new", seconds_ago=0)
        rename(source, destination)

    monkeypatch.setattr(hdfs, "rename", replace_and_rename)
    assert deliver_landed(hdfs).sources == ["june.csv"]
    assert list(hdfs.files.values()) == [b"something new"]


def test_file_that_is_opened_before_the_rename_stays_hidden_until_it_is_closed(hdfs, monkeypatch):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def open_and_rename(source, destination):
        if source.startswith(LANDING):
            hdfs.open_files.add(source)
        rename(source, destination)

    monkeypatch.setattr(hdfs, "rename", open_and_rename)
    assert deliver_landed(hdfs) == ([], [])
    [hidden] = hdfs.files
    assert hidden.startswith(f"{DELIVERED}/.")
    hdfs.open_files.clear()
    assert deliver_landed(hdfs).sources == ["june.csv"]


def test_claim_of_an_interrupted_call_is_completed(hdfs):
    hdfs.put(f"{DELIVERED}/.20261124T230825.123Z-june.csv", CONTENT)
    assert deliver_landed(hdfs).sources == ["june.csv"]
    assert sources(hdfs) == ["june.csv"]


def test_interrupted_upload_is_deleted_after_a_day(hdfs):
    hdfs.put(f"{DELIVERED}/.uploading-1", CONTENT, seconds_ago=3600)
    hdfs.put(f"{DELIVERED}/.uploading-2", CONTENT, seconds_ago=90_000)
    assert deliver_landed(hdfs) == ([], [])
    assert [path for path in hdfs.files if "uploading" in path] == [f"{DELIVERED}/.uploading-1"]


@pytest.mark.parametrize(
    "name", [".june.csv", "_june.csv", "june.csv.part", "june.csv.tmp", "june.csv._COPYING_"]
)
def test_file_with_an_unfinished_name_is_not_delivered(hdfs, name):
    hdfs.put(f"{LANDING}/{name}", CONTENT)
    assert not is_finished(name)
    assert deliver_landed(hdfs) == ([], [])


def test_recently_modified_file_is_not_delivered(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT[:50], seconds_ago=1)
    assert deliver_landed(hdfs) == ([], [])


def test_open_file_is_not_delivered_even_if_its_mtime_is_old(hdfs):
    # Until the writer closes the file, HDFS reports its creation time, and the length of its complete blocks.
    path = f"{LANDING}/june.csv"
    hdfs.put(path, b"", seconds_ago=3600)
    hdfs.open_files.add(path)
    assert deliver_landed(hdfs) == ([], [])
    assert path in hdfs.files
    with pytest.raises(ValueError, match=r"june\.csv in HDFS is open for writing"):
        deliver_dump(hdfs, f"{HDFS}{path}", None, HDFS)


def test_loading_can_read_the_name_of_every_delivered_file(hdfs, tmp_path):
    names = ["x" * 250 + ".csv", "ü 疫苗 100% a+b?.csv", "疫" * 80 + ".csv", "-.csv"]
    for seconds_ago, name in enumerate(names, start=60):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
    assert deliver_landed(hdfs).problems == []
    (tmp_path / "delivered").mkdir()
    for path in hdfs.files:
        name = path.removeprefix(f"{DELIVERED}/")
        assert len(name.encode()) <= 255
        (tmp_path / "delivered" / name).touch()
    found = [
        delivery.source
        for delivery in DumpFiles(str(tmp_path / "delivered"), str(tmp_path / "raw")).deliveries()
    ]
    assert found[0] == names[3]
    assert found[2] == names[1]
    assert found[1].startswith("…疫")
    assert found[3].endswith("x.csv")


def test_file_that_cannot_be_renamed_does_not_stop_the_others(hdfs):
    hdfs.put(f"{LANDING}/bad.csv", CONTENT, seconds_ago=90)
    hdfs.put(f"{LANDING}/good.csv", CONTENT)
    hdfs.checksum = lambda path: (_ for _ in ()).throw(HdfsError("missing block")) if "bad" in path else {}
    assert deliver_landed(hdfs) == (["good.csv"], ["bad.csv: missing block"])
    assert f"{LANDING}/bad.csv" in hdfs.files


def test_file_that_another_process_delivers_is_not_a_problem(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def rename_too_late(source, destination):
        rename(source, destination)
        raise HdfsError("Unable to rename")

    hdfs.rename = rename_too_late
    assert deliver_landed(hdfs) == ([], [])
    assert list(hdfs.files.values()) == [CONTENT]


@pytest.mark.parametrize(
    "error",
    [HdfsError("403", exception="AccessControlException"), HdfsError("500"), requests.ConnectionError()],
)
def test_failure_of_hdfs_is_an_error_and_not_an_empty_folder(hdfs, error):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    hdfs.faults[LANDING] = error
    with pytest.raises(type(error)):
        deliver_landed(hdfs)


def test_missing_landing_folder_has_no_files(hdfs):
    assert find_status(hdfs, "/nowhere") is None
    assert deliver_landed(hdfs) == ([], [])


def test_dump_at_another_path_in_hdfs_is_copied(hdfs):
    hdfs.put("/elsewhere/june.csv", CONTENT)
    assert deliver_dump(hdfs, f"{HDFS}/elsewhere/june.csv", None, HDFS) == "/elsewhere/june.csv"
    assert sources(hdfs) == ["%2Felsewhere%2Fjune.csv"]
    assert hdfs.files["/elsewhere/june.csv"] == CONTENT


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        ("hdfs://other:8020/june.csv", r"hdfs://other:8020/june\.csv is not in hdfs://namenode:8020"),
        (f"{HDFS}/no/such.csv", "HDFS has no file /no/such.csv"),
        ("ftp://example.org/dump.csv", "cannot read ftp://"),
    ],
)
def test_dump_that_cannot_be_read_is_an_error(hdfs, dump, message):
    hdfs.put("/june.csv", CONTENT)
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, dump, None, HDFS)


def test_both_landing_folders_are_delivered(hdfs, tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "MIN_AGE_SECONDS", 0)
    (tmp_path / "c.csv").write_bytes(b"c")
    hdfs.put(f"{LANDING}/b.csv", b"b", seconds_ago=60)
    hdfs.put(f"{LANDING}/a.csv", b"a", seconds_ago=90)
    hdfs.put(f"{DELIVERED}/20261124T000000.000Z-d.csv", b"d")  # delivered by the trigger
    deliver_everything(hdfs, tmp_path)
    contents = [hdfs.files[path] for path in sorted(hdfs.files)]
    assert sorted(contents) == [b"a", b"b", b"c", b"d"]
    assert [content for content in contents if content != b"c"] == [b"d", b"a", b"b"]
    assert all(path.startswith(f"{DELIVERED}/") for path in hdfs.files)


def test_file_that_cannot_be_delivered_is_an_error_after_the_others_were_delivered(hdfs, tmp_path):
    hdfs.put(f"{LANDING}/a.csv", b"a")
    (tmp_path / "uploading").mkdir(mode=0o700)
    (tmp_path / "uploading" / "a folder").mkdir()
    with pytest.raises(RuntimeError, match=r"could not be delivered: a folder: IsADirectoryError"):
        deliver_everything(hdfs, tmp_path)
    assert sources(hdfs) == ["a.csv"]


def test_empty_landing_folders_are_not_an_error(hdfs, tmp_path):
    deliver_everything(hdfs, tmp_path)
    assert hdfs.files == {}
