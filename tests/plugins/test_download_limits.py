"""Bounds on the bytes and the time of a download, and its connections, with a server on loopback."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.plugins.memory_hdfs import MemoryHdfs
from tests.plugins.test_landing import HDFS, sources
from vaxpulse_airflow import download
from vaxpulse_airflow.download import Limits
from vaxpulse_airflow.landing import deliver_dump

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
MIB = 2**20


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requested.append(self.path)
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.strip("/").partition(".")[0])()
        self.close_connection = True

    def start(self, *headers):
        self.send_response(200)
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def good(self):
        self.start(("Content-Length", "6"))
        self.wfile.write(b"tweets")

    def announced(self):
        self.start(("Content-Length", str(3 * MIB)))
        self.wfile.write(b"x" * MIB)

    def endless(self):
        self.start(("Connection", "close"))
        while not self.server.ended.is_set():
            self.wfile.write(b"x" * MIB)

    def chunked(self):
        self.start(("Transfer-Encoding", "chunked"))
        while not self.server.ended.is_set():
            self.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    def silent(self):
        self.server.ended.wait()

    def slow_headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.server.ended.wait(0.02):
            self.wfile.write(b"x")

    def slow_body(self):
        self.start(("Connection", "close"))
        while not self.server.ended.wait(0.02):
            self.wfile.write(b"x")

    def slow_chunks(self):
        self.start(("Transfer-Encoding", "chunked"))
        while not self.server.ended.wait(0.02):
            self.wfile.write(b"1\r\nx\r\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Return a server on loopback, which VAXPULSE_DUMP_HOSTS allows."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requested, server.ended = [], threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "127.0.0.1,files.example.org")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def hdfs():
    return MemoryHdfs()


def deliver(hdfs, url, max_mib=2, max_minutes=1.0):
    return deliver_dump(hdfs, url, None, HDFS, Limits(max_mib / 1024, max_minutes))


def test_file_is_downloaded(hdfs, server):
    assert deliver(hdfs, f"{server.address}/good.csv?secret") == f"{server.address}/good.csv"
    assert list(hdfs.files.values()) == [b"tweets"]
    assert sources(hdfs) == [f"{server.address}/good.csv"]


@pytest.mark.parametrize("path", ["announced", "endless", "chunked"])
def test_file_above_the_limit_is_refused_and_the_partial_file_is_removed(hdfs, server, path):
    with pytest.raises(ValueError, match=r"is larger than 0\.00195312 GiB: increase max_download_gib"):
        deliver(hdfs, f"{server.address}/{path}")
    assert hdfs.files == {}
    assert (hdfs.uploads == []) == (path == "announced")  # refused before the upload


@pytest.mark.parametrize("path", ["silent", "slow_headers", "slow_body", "slow_chunks", "endless"])
def test_download_ends_at_its_deadline_whatever_the_server_sends(hdfs, server, path):
    with pytest.raises(ValueError, match=r"more than 0\.005 minutes: increase max_download_minutes"):
        deliver(hdfs, f"{server.address}/{path}", max_mib=1e6, max_minutes=0.005)
    assert hdfs.files == {}


@pytest.mark.parametrize("path", ["silent", "slow_headers", "slow_body", "slow_chunks"])
def test_slow_download_is_refused_before_its_deadline(hdfs, server, path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK_SECONDS", 0.3)
    with pytest.raises(ValueError, match=r"less than 1 MiB arrived within 0\.3 s"):
        deliver(hdfs, f"{server.address}/{path}")
    assert hdfs.files == {}


def test_url_that_two_parsers_read_differently_does_not_reach_the_server(hdfs, server, monkeypatch):
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "files.example.org")
    for url in (rf"{server.address}\@files.example.org/x.csv", f"{server.address}/good.csv"):
        with pytest.raises(ValueError, match=r"backslash|not public"):
            deliver(hdfs, url)
    assert server.requested == []
    assert hdfs.files == {}


def test_proxy_is_not_used_because_it_would_resolve_the_host_again(hdfs, server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    deliver(hdfs, f"{server.address}/good.csv")
    assert server.requested == ["/good.csv"]
