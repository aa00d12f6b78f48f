"""How dumps are delivered into HDFS: whole or not at all, and none lost whatever happens."""

import doctest
import io
import os
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests
from hdfs import HdfsError
from urllib3 import HTTPResponse
from vaxpulse_airflow import deliveries
from vaxpulse_airflow.deliveries import (
    deliver_dump,
    deliver_landed,
    deliver_landed_locally,
    find_status,
    is_finished,
)

from loading.files import DELIVERED_NAME, DumpFiles
from tests.plugins.memory_hdfs import MemoryHdfs

CONTENT = b"tweet_id,safe_text\r\nA1,hello\r\n" * 100_000
LANDING, DELIVERED = "/landing", "/delivered"
HDFS = "hdfs://namenode:8020"


@pytest.fixture
def hdfs():
    return MemoryHdfs()


@pytest.fixture
def landing(tmp_path):
    """A landing folder on this machine with one dump that was written a minute ago."""
    path = tmp_path / "a dump.csv"
    path.write_bytes(CONTENT)
    os.utime(path, (time.time() - 60,) * 2)
    return tmp_path


def sources(hdfs):
    """The names that the delivered files came with, in the order of their times."""
    return [
        DELIVERED_NAME.match(path.rpartition("/")[2])[2]
        for path in sorted(hdfs.files)
        if path.startswith(f"{DELIVERED}/")
    ]


def test_examples_in_the_docstrings_hold():
    results = doctest.testmod(deliveries)
    assert results.attempted
    assert not results.failed


def is_now(path):
    """Whether a delivered file says that it was delivered in the last half minute."""
    moment = DELIVERED_NAME.match(path.rpartition("/")[2])[1]
    return (
        f"{datetime.now(UTC) - timedelta(seconds=30):%Y%m%dT%H%M%S}"
        <= moment
        <= f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    )


def test_landed_file_is_renamed_with_its_arrival_and_its_name_and_nothing_is_read(hdfs):
    # A move keeps the time of modification: a correction that was written a month ago and comes now is new.
    hdfs.put(f"{LANDING}/june.csv", CONTENT, seconds_ago=30 * 86_400)
    assert deliver_landed(hdfs, LANDING, DELIVERED) == (["june.csv"], [])
    [(path, content)] = hdfs.files.items()
    assert path.endswith("Z-june.csv")
    assert is_now(path)
    assert content == CONTENT
    assert hdfs.uploads == []


def test_file_whose_time_lies_ahead_is_delivered(hdfs, tmp_path):
    hdfs.put(f"{LANDING}/june.csv", CONTENT, seconds_ago=-86_400)
    (tmp_path / "july.csv").write_bytes(CONTENT)
    os.utime(tmp_path / "july.csv", (time.time() + 86_400,) * 2)
    assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["june.csv"]
    assert deliver_landed_locally(hdfs, tmp_path, DELIVERED).sources == ["july.csv"]


def test_files_are_delivered_in_the_order_of_their_arrival(hdfs):
    for name, seconds_ago in (("a.csv", 60), ("b.csv", 120)):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
    assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["b.csv", "a.csv"]
    assert sources(hdfs) == ["b.csv", "a.csv"]


def test_two_files_of_one_name_and_one_moment_are_both_delivered(hdfs):
    for _ in range(2):
        hdfs.put(f"{LANDING}/june.csv", CONTENT)
        hdfs.modified[f"{LANDING}/june.csv"] = 1_000_000
        assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["june.csv"]
    assert sources(hdfs) == ["june.csv", "june.csv"]


def test_file_that_is_replaced_between_look_and_rename_is_delivered_as_what_it_is_then(hdfs, monkeypatch):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def replace_and_rename(source, destination):
        if source.startswith(LANDING):
            hdfs.put(source, b"something new", seconds_ago=0)
        rename(source, destination)

    monkeypatch.setattr(hdfs, "rename", replace_and_rename)
    assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["june.csv"]
    assert list(hdfs.files.values()) == [b"something new"]


def test_file_that_is_opened_between_look_and_rename_stays_hidden_until_it_is_closed(hdfs, monkeypatch):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def open_and_rename(source, destination):
        if source.startswith(LANDING):
            hdfs.open_files.add(source)
        rename(source, destination)

    monkeypatch.setattr(hdfs, "rename", open_and_rename)
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    [hidden] = hdfs.files
    assert hidden.startswith(f"{DELIVERED}/.")
    hdfs.open_files.clear()
    assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["june.csv"]


def test_claim_that_died_before_its_last_step_is_taken_up(hdfs):
    hdfs.put(f"{DELIVERED}/.20261124T230825.123Z-june.csv", CONTENT)
    assert deliver_landed(hdfs, LANDING, DELIVERED).sources == ["june.csv"]
    assert sources(hdfs) == ["june.csv"]


def test_upload_that_died_is_removed_after_a_day(hdfs):
    hdfs.put(f"{DELIVERED}/.uploading-1", CONTENT, seconds_ago=3600)
    hdfs.put(f"{DELIVERED}/.uploading-2", CONTENT, seconds_ago=90_000)
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    assert [path for path in hdfs.files if "uploading" in path] == [f"{DELIVERED}/.uploading-1"]


@pytest.mark.parametrize(
    "name", [".june.csv", "_june.csv", "june.csv.part", "june.csv.tmp", "june.csv._COPYING_"]
)
def test_unfinished_name_is_passed_over(hdfs, tmp_path, name):
    hdfs.put(f"{LANDING}/{name}", CONTENT)
    (tmp_path / name).write_bytes(CONTENT)
    os.utime(tmp_path / name, (0, 0))
    assert not is_finished(name)
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    assert deliver_landed_locally(hdfs, tmp_path, DELIVERED) == ([], [])


def test_file_that_is_still_written_is_left_alone(hdfs, tmp_path):
    hdfs.put(f"{LANDING}/june.csv", CONTENT[:50], seconds_ago=1)
    (tmp_path / "june.csv").write_bytes(CONTENT[:50])
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    assert deliver_landed_locally(hdfs, tmp_path, DELIVERED) == ([], [])


def test_file_that_is_open_in_hdfs_is_left_alone_however_old_it_looks(hdfs):
    # HDFS keeps the time of the creation, and the length of the whole blocks, until the writer closes the file
    path = f"{LANDING}/june.csv"
    hdfs.put(path, b"", seconds_ago=3600)
    hdfs.open_files.add(path)
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    assert path in hdfs.files
    with pytest.raises(ValueError, match=r"still writing the dump /landing/june\.csv to HDFS"):
        deliver_dump(hdfs, f"{HDFS}{path}", None, HDFS, DELIVERED)


def test_name_of_any_length_and_alphabet_is_delivered_and_read_back(hdfs, tmp_path):
    names = ["x" * 250 + ".csv", "ü 疫苗 100% a+b?.csv", "疫" * 80 + ".csv", "-.csv"]
    for seconds_ago, name in enumerate(names, start=60):
        hdfs.put(f"{LANDING}/{name}", CONTENT, seconds_ago)
    assert deliver_landed(hdfs, LANDING, DELIVERED).problems == []
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
    delivered, problems = deliver_landed(hdfs, LANDING, DELIVERED)
    assert delivered == ["good.csv"]
    assert problems == ["bad.csv: missing block"]
    assert f"{LANDING}/bad.csv" in hdfs.files


def test_of_two_that_deliver_one_file_the_second_goes_without(hdfs):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    rename = hdfs.rename

    def rename_after_another(source, destination):
        rename(source, destination)  # the other one is a little faster
        raise HdfsError("Unable to rename")

    hdfs.rename = rename_after_another
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])
    assert list(hdfs.files.values()) == [CONTENT]


@pytest.mark.parametrize(
    "error",
    [HdfsError("403", exception="AccessControlException"), HdfsError("500"), requests.ConnectionError()],
)
def test_file_system_that_refuses_or_breaks_is_an_error_and_not_an_empty_folder(hdfs, error):
    hdfs.put(f"{LANDING}/june.csv", CONTENT)
    hdfs.faults[LANDING] = error
    with pytest.raises(type(error)):
        deliver_landed(hdfs, LANDING, DELIVERED)


def test_missing_file_has_no_status_and_a_missing_folder_has_no_files(hdfs):
    assert find_status(hdfs, "/nowhere") is None
    assert deliver_landed(hdfs, LANDING, DELIVERED) == ([], [])


def test_local_file_is_uploaded_under_a_hidden_name_and_then_removed(hdfs, landing):
    assert deliver_landed_locally(hdfs, landing, DELIVERED) == (["a dump.csv"], [])
    assert list(hdfs.files.values()) == [CONTENT]
    assert sources(hdfs) == ["a dump.csv"]
    [upload] = hdfs.uploads
    assert upload.startswith(f"{DELIVERED}/.uploading-")
    assert all(map(is_now, hdfs.files))
    assert [path for path in landing.rglob("*") if path.is_file()] == []


def test_local_file_whose_upload_died_is_delivered_by_the_next_call(hdfs, landing, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(hdfs, "write", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("HDFS is gone")))
        delivered, [problem] = deliver_landed_locally(hdfs, landing, DELIVERED)
    assert delivered == []
    assert "HDFS is gone" in problem
    assert hdfs.files == {}
    assert [path.read_bytes() for path in (landing / "uploading").iterdir()] == [CONTENT]
    assert deliver_landed_locally(hdfs, landing, DELIVERED).sources == ["a dump.csv"]


def test_local_file_that_was_uploaded_by_a_call_that_died_is_delivered_once(hdfs, landing):
    deliver_landed_locally(hdfs, landing, DELIVERED)
    [delivered] = hdfs.files
    (landing / "uploading" / delivered.rpartition("/")[2]).write_bytes(CONTENT)
    assert deliver_landed_locally(hdfs, landing, DELIVERED).problems == []
    assert list(hdfs.files.values()) == [CONTENT]


def test_empty_local_file_does_not_stop_the_others(hdfs, landing):
    (landing / "0.csv").touch()
    os.utime(landing / "0.csv", (0, 0))
    # What is wrong with it is said when it is loaded, and kept in `dumps`. In which order is not told: both have arrived at about the same time.
    assert sorted(deliver_landed_locally(hdfs, landing, DELIVERED).sources) == ["0.csv", "a dump.csv"]


def test_worker_without_the_landing_folder_says_so(hdfs, landing):
    # Any worker may get the task.
    missing = landing / "not mounted"
    message = "the worker .* has no folder .*not mounted: VAXPULSE_LANDING must name a folder that all workers share"
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, "june.csv", missing, HDFS, DELIVERED)
    delivered, [problem] = deliver_landed_locally(hdfs, missing, DELIVERED)
    assert delivered == []
    assert re.fullmatch(message, problem)


def test_short_upload_is_an_error_and_leaves_nothing(landing):
    hdfs = MemoryHdfs(lost_bytes=1)
    [problem] = deliver_landed_locally(hdfs, landing, DELIVERED).problems
    assert [path.read_bytes() for path in (landing / "uploading").iterdir()] == [CONTENT]
    assert "HDFS holds 2,999,999 of the 3,000,000 bytes" in problem
    assert hdfs.files == {}


def test_named_dump_in_the_landing_folder_is_delivered_alone(hdfs, landing):
    (landing / "other.csv").write_bytes(b"other")
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS, DELIVERED) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]
    assert (landing / "other.csv").exists()
    assert all(map(is_now, hdfs.files))


def test_named_dump_whose_upload_died_is_delivered_by_the_next_try(hdfs, landing, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(hdfs, "write", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("HDFS is gone")))
        with pytest.raises(ConnectionError):
            deliver_dump(hdfs, "a dump.csv", landing, HDFS, DELIVERED)
    assert deliver_dump(hdfs, "a dump.csv", landing, HDFS, DELIVERED) == "a dump.csv"
    assert list(hdfs.files.values()) == [CONTENT]


def test_two_files_of_one_name_are_both_delivered_whatever_their_times(hdfs, landing):
    (landing / "uploading").mkdir(mode=0o700)
    for content in (b"first", b"second"):
        (landing / "uploading" / "20261124T230825.123Z-june.csv").write_bytes(content)
        deliver_landed_locally(hdfs, landing, DELIVERED)
    assert sorted(hdfs.files.values()) == sorted([CONTENT, b"first", b"second"])


def test_local_file_that_cannot_be_claimed_does_not_stop_the_others(hdfs, landing, monkeypatch):
    (landing / os.fsdecode(b"\xff.csv")).write_bytes(b"odd name")
    (landing / "b.csv").write_bytes(b"b")
    for path in landing.iterdir():
        os.utime(path, (0, 0))
    rename = deliveries.Path.rename

    def refusing(path, target):
        if path.name == "b.csv":
            raise PermissionError("not yours")
        return rename(path, target)

    monkeypatch.setattr(deliveries.Path, "rename", refusing)
    delivered, problems = deliver_landed_locally(hdfs, landing, DELIVERED)
    assert sorted(delivered) == ["?.csv", "a dump.csv"]
    assert problems == ["'b.csv': PermissionError: not yours"]


def test_folder_of_claimed_files_that_is_not_ours_is_not_used(hdfs, landing, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "20261124T230825.123Z-secret.csv").write_text("password")
    (landing / "uploading").symlink_to(other)
    with pytest.raises(PermissionError, match="only the user of Airflow's tasks may write to"):
        deliver_landed_locally(hdfs, landing, DELIVERED)
    (landing / "uploading").unlink()
    (landing / "uploading").mkdir(mode=0o700)
    (landing / "uploading" / "20261124T230825.123Z-x.csv").symlink_to(
        other / "20261124T230825.123Z-secret.csv"
    )
    assert deliver_landed_locally(hdfs, landing, DELIVERED).sources == ["a dump.csv"]
    assert list(hdfs.files.values()) == [CONTENT]
    assert [path.read_text() for path in other.iterdir()] == ["password"]


@pytest.mark.parametrize("dump", ["/proc/self/environ", "../secret.csv", "link.csv", "file:///etc/passwd"])
def test_file_outside_of_the_landing_folder_is_not_read(hdfs, landing, dump):
    (landing.parent / "secret.csv").write_text("password")
    (landing / "link.csv").symlink_to(landing.parent / "secret.csv")
    with pytest.raises(ValueError, match="is outside of the landing folder"):
        deliver_dump(hdfs, dump, landing, HDFS, DELIVERED)
    os.utime(landing / "link.csv", (0, 0), follow_symlinks=False)
    deliver_landed_locally(hdfs, landing, DELIVERED)
    assert sources(hdfs) == ["a dump.csv"]


def test_dump_elsewhere_in_hdfs_is_copied(hdfs):
    hdfs.put("/elsewhere/june.csv", CONTENT)
    assert deliver_dump(hdfs, f"{HDFS}/elsewhere/june.csv", None, HDFS, DELIVERED) == "/elsewhere/june.csv"
    assert sources(hdfs) == ["%2Felsewhere%2Fjune.csv"]
    assert hdfs.files["/elsewhere/june.csv"] == CONTENT


def test_dump_in_another_hdfs_is_not_looked_for_in_this_one(hdfs):
    hdfs.put("/june.csv", CONTENT)
    with pytest.raises(ValueError, match=r"hdfs://other:8020/june\.csv is not in hdfs://namenode:8020"):
        deliver_dump(hdfs, "hdfs://other:8020/june.csv", None, HDFS, DELIVERED)


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        (
            "no such dump.csv",
            "the worker .* has no file .*no such dump.csv: put it into the landing folder .*, which all workers share",
        ),
        (f"{HDFS}/no/such.csv", "there is no dump /no/such.csv in HDFS"),
        ("ftp://example.org/dump.csv", "cannot read a dump from ftp"),
    ],
)
def test_unreadable_source_is_named(hdfs, landing, dump, message):
    with pytest.raises(ValueError, match=message):
        deliver_dump(hdfs, dump, landing, HDFS, DELIVERED)


class Web:
    """Answers to requests by URL: status, headers, body."""

    def __init__(self, monkeypatch):
        self.answers, self.asked, self.addresses = {}, [], {"example.org": "93.184.215.14"}
        monkeypatch.setattr(requests.Session, "get", self.get)
        monkeypatch.setattr(
            deliveries.socket,
            "getaddrinfo",
            lambda host, *_, **__: [(2, 1, 6, "", (self.addresses[host], 443))],
        )

    def get(self, url, *, stream, timeout, allow_redirects, headers):
        assert stream
        assert timeout
        assert not allow_redirects
        assert headers["Host"] in url
        self.asked.append(url)
        status, answer_headers, body = self.answers[url]
        answer = requests.Response()
        answer.status_code, answer.url, answer.reason = status, url, "Reason"
        answer.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        answer.headers.update(answer_headers)
        return answer


@pytest.fixture
def web(monkeypatch):
    return Web(monkeypatch)


def test_url_is_read_and_what_is_secret_in_it_is_kept_nowhere(hdfs, web):
    url = "https://me:password@example.org/dump.csv?signature=abc"
    web.answers[url] = 200, {"Content-Length": str(len(CONTENT))}, CONTENT
    assert deliver_dump(hdfs, url, None, HDFS, DELIVERED) == "https://example.org/dump.csv"
    assert sources(hdfs) == ["https%3A%2F%2Fexample.org%2Fdump.csv"]
    assert list(hdfs.files.values()) == [CONTENT]


def test_answer_that_breaks_off_is_no_dump(hdfs, web):
    web.answers["https://example.org/dump.csv"] = 200, {"Content-Length": "1000000"}, b"x" * 27
    with pytest.raises(OSError, match=r"only 27 of 1,000,000 bytes came"):
        deliver_dump(hdfs, "https://example.org/dump.csv", None, HDFS, DELIVERED)
    assert hdfs.files == {}


def test_server_that_fails_is_named_without_what_is_secret(hdfs, web, monkeypatch):
    url = "https://example.org/dump.csv?signature=abc"
    web.answers[url] = 403, {}, b""
    with pytest.raises(ValueError, match="the server answers 403 Reason") as refusal:
        deliver_dump(hdfs, url, None, HDFS, DELIVERED)
    monkeypatch.setattr(
        requests.Session, "get", lambda *_, **__: (_ for _ in ()).throw(requests.ConnectionError(url))
    )
    with pytest.raises(OSError, match="cannot be read: ConnectionError") as failure:
        deliver_dump(hdfs, url, None, HDFS, DELIVERED)
    assert "abc" not in f"{refusal.value} {failure.value}"
    assert failure.value.__suppress_context__


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.5", "::1", "::ffff:127.0.0.1"])
def test_address_that_only_workers_can_reach_is_not_read_not_even_by_a_redirect(
    hdfs, web, address, monkeypatch
):
    web.addresses["inner"] = address
    for url in ("http://inner/latest", "https://example.org/away"):
        web.answers["https://example.org/away"] = 302, {"Location": "http://inner/latest"}, b""
        with pytest.raises(ValueError, match="http://inner/latest leads to an address that is not public"):
            deliver_dump(hdfs, url, None, HDFS, DELIVERED)
    assert web.asked == ["https://example.org/away"]
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "other,inner")
    web.answers["http://inner/latest"] = 200, {}, CONTENT
    deliver_dump(hdfs, "https://example.org/away", None, HDFS, DELIVERED)
    assert list(hdfs.files.values()) == [CONTENT]


class Connections:
    """Stands in for the network: who was connected to, and what was sent; the first address takes no connections."""

    def __init__(self):
        self.addresses, self.sent = [], b""

    def create_connection(self, address, *_, **__):
        self.addresses.append(address)
        if len(self.addresses) == 1:
            raise ConnectionRefusedError
        return self

    def sendall(self, sent):
        self.sent += sent

    def makefile(self, *_):
        return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)

    def close(self):
        pass

    settimeout = setsockopt = shutdown = lambda *_: None


def test_host_is_looked_up_once_and_read_from_an_address_that_was_checked(hdfs, monkeypatch):
    # Its name leads to two public addresses first, and to the worker itself from then on.
    answers = [["93.184.215.14", "93.184.215.15"], ["127.0.0.1"], ["127.0.0.1"]]
    monkeypatch.setattr(
        deliveries.socket,
        "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", (address, 80)) for address in answers.pop(0)],
    )
    connections = Connections()
    monkeypatch.setattr("urllib3.util.connection.create_connection", connections.create_connection)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    deliver_dump(hdfs, "http://me:password@example.org:8080/dump.csv", None, HDFS, DELIVERED)
    assert connections.addresses == [("93.184.215.14", 8080), ("93.184.215.15", 8080)]
    assert b"\r\nHost: example.org:8080\r\n" in connections.sent
    assert list(hdfs.files.values()) == [CONTENT]


def test_certificate_must_be_of_the_host_and_not_of_its_address():
    request = requests.Request("GET", "https://example.org/dump.csv").prepare()
    pool = deliveries.FixedAddressAdapter("93.184.215.14").get_connection_with_tls_context(
        request, verify=True
    )
    assert pool.host == "93.184.215.14"
    assert pool.assert_hostname == pool.conn_kw["server_hostname"] == "example.org"
    assert pool.cert_reqs == "CERT_REQUIRED"
