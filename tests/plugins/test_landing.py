"""Delivery from the landing folder in HDFS, and of a dump that is already in HDFS."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from hdfs import HdfsError

from contracts.delivered_names import parse_name, show_source
from contracts.hdfs_paths import DELIVERED, LANDING
from loading.files import DumpFiles
from tests.plugins.memory_hdfs import MemoryHdfs
from vaxpulse_airflow import landing, local_landing
from vaxpulse_airflow.download import Limits
from vaxpulse_airflow.landing import deliver_dump, deliver_everything, deliver_landed
from vaxpulse_airflow.names import is_finished
from vaxpulse_airflow.webhdfs import find_status

CONTENT = b"tweet_id,safe_text\r\nA1,hello\r\n" * 100_000
HDFS = "hdfs://namenode:8020"
LIMITS = Limits(max_gib=1, max_minutes=1)


@pytest.fixture
def hdfs():
    return MemoryHdfs()


def sources(hdfs):
    """Return the sources in the names of the delivered files, in the order of delivery."""
    return [
        parse_name(path.rpartition("/")[2])[1]
        for path in sorted(hdfs.files)
        if path.startswith(f"{DELIVERED}/")
    ]


def is_recent(path):
    """Return whether the name of a delivered file has a time within the last 30 seconds."""
    moment, _ = parse_name(path.rpartition("/")[2])
    now = datetime.now(UTC)
    return now - timedelta(seconds=30) <= moment <= now


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
        deliver_dump(hdfs, f"{HDFS}{path}", None, HDFS, LIMITS)


def test_loading_can_read_the_name_of_every_delivered_file(hdfs, tmp_path):
    names = [
        "x" * 220 + ".csv",
        "ü 疫苗 100% a+b?.csv",
        "-.csv",
        "20269924T000000.000Z-x.csv",
        "a\tb\n.csv",
        "~%2F",
    ]
    for seconds_ago, name in enumerate(names, start=60):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
    assert deliver_landed(hdfs).problems == []
    (tmp_path / "delivered").mkdir()
    for path in hdfs.files:
        (tmp_path / "delivered" / path.removeprefix(f"{DELIVERED}/")).touch()
    found = DumpFiles(str(tmp_path / "delivered"), str(tmp_path / "raw")).deliveries()
    assert [delivery.source for delivery in found] == [show_source(name) for name in reversed(names)]


def test_file_that_cannot_be_renamed_does_not_stop_the_others(hdfs):
    hdfs.put(f"{LANDING}/bad.csv", CONTENT, seconds_ago=90)
    hdfs.put(f"{LANDING}/good.csv", CONTENT)
    hdfs.checksum = lambda path: (_ for _ in ()).throw(HdfsError("missing block")) if "bad" in path else {}
    assert deliver_landed(hdfs) == (["good.csv"], ["bad.csv: HdfsError: missing block"])
    assert f"{LANDING}/bad.csv" in hdfs.files


@pytest.mark.parametrize("step", ["checksum", "rename", "status"])
@pytest.mark.parametrize(
    "error", [HdfsError("safe mode"), RecursionError(), KeyError("FileChecksum"), ValueError()]
)
def test_no_error_of_one_file_stops_the_others(hdfs, monkeypatch, step, error):
    for name in ("bad\u202e.csv", "good.csv"):
        hdfs.put(f"{LANDING}/{name}", CONTENT)
    real = getattr(hdfs, step)

    def fail(path, *arguments):
        if path == f"{LANDING}/bad\u202e.csv":
            raise error
        return real(path, *arguments)

    monkeypatch.setattr(
        hdfs,
        "list",
        lambda folder, status: [
            (path.rpartition("/")[2], {"type": "FILE", "modificationTime": 0})
            for path in hdfs.files
            if path.startswith(folder)
        ],
    )
    monkeypatch.setattr(hdfs, step, fail)
    delivered, problems = deliver_landed(hdfs)
    assert "good.csv" in delivered
    assert [problem.split(":")[0] for problem in problems] == ["bad\\u202e.csv"]


@pytest.mark.parametrize(
    "name",
    ["june.csv", "a\tb.csv", "a\\b.csv", "20269924T230825.123Z-june.csv", "20261124T230825.123Z-a b.csv"],
)
def test_file_that_another_program_puts_into_delivered_gets_a_name_that_loading_can_list(hdfs, name):
    hdfs.put(f"{DELIVERED}/{name}", CONTENT)
    hdfs.put(f"{LANDING}/good.csv", CONTENT)
    deliver_landed(hdfs)
    deliver_landed(hdfs)
    assert sorted(sources(hdfs)) == sorted([name, "good.csv"])


def test_folder_that_another_program_puts_into_delivered_is_reported(hdfs, monkeypatch):
    names = ("a folder", ".a\tb", ".20261124T230825.123Z-a%09b")
    listed = [(name, {"type": "DIRECTORY"}) for name in names]
    monkeypatch.setattr(hdfs, "list", lambda folder, status: listed)
    renamed = []
    monkeypatch.setattr(hdfs, "rename", lambda source, target: renamed.append(source))
    monkeypatch.setattr(landing, "still_exists", lambda *_: True)
    [problem] = deliver_landed(hdfs).problems
    assert problem.endswith("it is a folder: move /vaxpulse/delivered/.20261124T230825.123Z-a%09b away")
    assert renamed == [f"{DELIVERED}/.a\tb", f"{DELIVERED}/a folder"]


def test_local_files_are_delivered_if_the_landing_folder_in_hdfs_cannot_be_read(hdfs, tmp_path, monkeypatch):
    monkeypatch.setattr(local_landing, "MIN_AGE_SECONDS", 0)
    (tmp_path / "c.csv").write_bytes(b"c")
    hdfs.faults[LANDING] = RecursionError()
    with pytest.raises(RuntimeError, match="/vaxpulse/landing: RecursionError"):
        deliver_everything(hdfs, tmp_path)
    assert sources(hdfs) == ["c.csv"]


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
    assert deliver_dump(hdfs, f"{HDFS}/elsewhere/june.csv", None, HDFS, LIMITS) == "/elsewhere/june.csv"
    assert sources(hdfs) == ["/elsewhere/june.csv"]
    assert hdfs.files["/elsewhere/june.csv"] == CONTENT


def test_file_with_a_decomposed_name_is_delivered_when_it_is_closed(hdfs):
    name = "re\u0301sume\u0301.csv"  # as macOS writes it
    hdfs.put(f"{LANDING}/{name}", CONTENT)
    hdfs.open_files.add(f"{LANDING}/{name}")
    assert deliver_landed(hdfs) == ([], [])
    hdfs.open_files.clear()
    assert deliver_landed(hdfs) == ([name], [])
    with pytest.raises(ValueError, match="WebHDFS can read only names in"):
        deliver_dump(hdfs, f"{HDFS}/elsewhere/{name}", None, HDFS, LIMITS)


@pytest.mark.parametrize("name", ["#LATEST", "a#b?c%20.csv", "..."])
def test_name_in_an_hdfs_uri_is_literal(hdfs, name):
    hdfs.put(f"/elsewhere/{name}", CONTENT)
    assert deliver_dump(hdfs, f"hdfs:///elsewhere/{name}", None, HDFS, LIMITS) == f"/elsewhere/{name}"


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        ("hdfs://other:8020/june.csv", r"hdfs://other:8020/june\.csv is not in hdfs://namenode:8020"),
        (f"{HDFS}/no/such.csv", "HDFS has no file /no/such.csv"),
        ("ftp://example.org/dump.csv", "cannot read ftp://"),
        ("http://[::1/x", "invalid host"),
    ],
)
def test_dump_that_cannot_be_read_is_an_error(hdfs, dump, message):
    hdfs.put("/june.csv", CONTENT)
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, dump, None, HDFS, LIMITS)


def test_both_landing_folders_are_delivered(hdfs, tmp_path, monkeypatch):
    monkeypatch.setattr(local_landing, "MIN_AGE_SECONDS", 0)
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
    (tmp_path / "uploading" / "a file").touch()
    with pytest.raises(
        RuntimeError,
        match=r"could not be delivered: a file: ValueError: it was not created .* next run tries",
    ):
        deliver_everything(hdfs, tmp_path)
    assert sources(hdfs) == ["a.csv"]


def test_empty_landing_folders_are_not_an_error(hdfs, tmp_path):
    deliver_everything(hdfs, tmp_path)
    assert hdfs.files == {}
