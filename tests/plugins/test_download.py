"""Download of a dump from an http(s) URL."""

import io
import socket

import pytest
from urllib3 import HTTPResponse
from urllib3.exceptions import NewConnectionError, ProtocolError

from tests.plugins.memory_hdfs import MemoryHdfs
from tests.plugins.test_landing import CONTENT, HDFS, sources
from vaxpulse_airflow import download
from vaxpulse_airflow.download import Limits, is_public, parse_http_url
from vaxpulse_airflow.landing import deliver_dump

LIMITS = Limits(max_gib=1, max_minutes=1)


def deliver(hdfs, url, limits=LIMITS):
    return deliver_dump(hdfs, url, None, HDFS, limits)


@pytest.fixture
def hdfs():
    return MemoryHdfs()


class Web:
    """Responses by URL: status, headers, body. Records the requested URLs and the addresses of connections.

    A URL without a response refuses connections.
    """

    def __init__(self, monkeypatch):
        self.responses, self.requested, self.connections = {}, [], []
        self.addresses = {"example.org": ["93.184.215.14"], "mirror.org": ["93.184.215.15"]}
        self.unreachable = set()
        monkeypatch.setattr(download, "connect", self.connect)
        monkeypatch.setattr(
            download.socket,
            "getaddrinfo",
            lambda host, *_, **__: [(2, 1, 6, "", (address, 443)) for address in self.addresses[host]],
        )

    def respond(self, url):
        return self.responses[url]

    def connect(self, url, address):
        self.url = url
        self.connections.append(address)
        return self

    def urlopen(self, method, path, *, headers, redirect, retries, preload_content, **_):
        assert (method, path, headers["Host"]) == ("GET", self.url.request_uri, self.url.netloc)
        assert (redirect, retries, preload_content) == (False, False, False)
        assert "Authorization" not in headers
        if self.connections[-1] in self.unreachable:
            raise NewConnectionError(None, "refused")
        self.requested.append(str(self.url))
        status, headers, body = self.respond(str(self.url))
        if isinstance(body, Exception):
            raise body
        return HTTPResponse(
            io.BytesIO(body), headers, status, reason="Reason", preload_content=False, request_method="GET"
        )


@pytest.fixture
def web(monkeypatch):
    return Web(monkeypatch)


def test_secret_parts_of_a_url_are_not_stored(hdfs, web):
    url = "https://example.org/dump.csv?signature=abc"
    web.responses[url] = 200, {"Content-Length": str(len(CONTENT))}, CONTENT
    assert deliver(hdfs, url) == "https://example.org/dump.csv"
    assert sources(hdfs) == ["https://example.org/dump.csv"]
    assert list(hdfs.files.values()) == [CONTENT]


def test_interrupted_response_is_not_delivered(hdfs, web):
    web.responses["https://example.org/dump.csv"] = 200, {"Content-Length": "1000000"}, b"x" * 27
    with pytest.raises(OSError, match=r"dump\.csv cannot be read: ProtocolError"):
        deliver(hdfs, "https://example.org/dump.csv")
    assert hdfs.files == {}


def test_message_about_a_failed_request_has_no_secret(hdfs, web):
    url = "https://example.org/dump.csv?signature=abc"
    web.responses[url] = 403, {}, b""
    with pytest.raises(ValueError, match="the server answers 403 Reason") as refusal:
        deliver(hdfs, url)
    web.responses[url] = 200, {}, ProtocolError(url)
    with pytest.raises(OSError, match="cannot be read: ProtocolError") as failure:
        deliver(hdfs, url)
    assert "abc" not in f"{refusal.value} {failure.value}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overloaded_or_failing_server_is_an_error_that_is_retried(hdfs, web, status):
    web.responses["https://example.org/dump.csv"] = status, {}, b""
    with pytest.raises(OSError, match=f"cannot be read: the server answers {status}"):
        deliver(hdfs, "https://example.org/dump.csv")


def test_endless_redirect_is_an_error(hdfs, web):
    web.responses["https://example.org/a"] = 302, {"Location": "/a"}, b""
    with pytest.raises(ValueError, match="the server answers 302"):
        deliver(hdfs, "https://example.org/a")
    assert len(web.requested) == 5


def test_failing_name_server_is_an_error_that_is_retried(hdfs, web, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match="name resolution") as failure:
        deliver(hdfs, "https://example.org/dump.csv?signature=abc")
    assert not isinstance(failure.value, socket.gaierror)
    assert "abc" not in str(failure.value)


INTERNAL = [
    "0.0.0.0",
    "10.0.0.5",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::93.184.215.14",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2001:0:1::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_address_is_refused_also_after_a_redirect(hdfs, web, address, monkeypatch):
    web.addresses["inner"] = ["93.184.215.14", address]  # one internal address is enough
    web.responses["https://example.org/away"] = 302, {"Location": "http://inner/latest"}, b""
    for url in ("http://inner/latest", "https://example.org/away"):
        with pytest.raises(ValueError, match="http://inner/latest has an address that is not public"):
            deliver(hdfs, url)
    assert web.requested == ["https://example.org/away"]
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "other, Inner")
    web.responses["http://inner/latest"] = 200, {}, CONTENT
    deliver(hdfs, "https://example.org/away")
    assert list(hdfs.files.values()) == [CONTENT]


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_address_is_allowed(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000\\@files.example.org/x.csv",
        "http://files.example.org\\@127.0.0.1/x.csv",
        "http://files.example.org/x\r\nHost: 127.0.0.1",
        "http://files.example.org/\tx",
        "http://ann:secret@files.example.org/x.csv",
        "http://secret@files.example.org/x.csv",
        "http://files.example.org:secret/x.csv",
        "http://files.example.org:99999/x.csv",
        "http:///secret/x.csv",
        "http://[::1/secret.csv",
        "http://\uff11\uff12\uff17.0.0.1/secret.csv",
    ],
)
def test_ambiguous_url_and_url_with_a_password_are_refused_without_a_request(hdfs, web, url, monkeypatch):
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "files.example.org")
    with pytest.raises(ValueError, match=r"percent-encode it|landing folder|correct it") as refusal:
        deliver(hdfs, url)
    assert "secret" not in str(refusal.value)
    assert web.connections == []


def test_host_is_resolved_once_for_each_request_and_the_next_address_is_tried(hdfs, web, monkeypatch):
    # DNS rebinding: the first answer has two public addresses, later answers name the worker itself.
    answers = [["93.184.215.14", "93.184.215.15"], ["127.0.0.1"], ["127.0.0.1"]]
    monkeypatch.setattr(
        download.socket,
        "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", (address, 80)) for address in answers.pop(0)],
    )
    web.unreachable = {"93.184.215.14"}
    web.responses["http://example.org:8080/dump.csv"] = 200, {}, CONTENT
    deliver(hdfs, "http://example.org:8080/dump.csv")
    assert web.connections == ["93.184.215.14", "93.184.215.15"]
    assert list(hdfs.files.values()) == [CONTENT]
    with pytest.raises(ValueError, match="not public"):
        deliver(hdfs, "http://example.org:8080/dump.csv")


@pytest.mark.parametrize("host", ["example.org", "93.184.215.14", "[2606:4700::1111]"])
def test_certificate_must_match_the_host_of_the_url(host):
    pool = download.connect(parse_http_url(f"https://{host}/dump.csv"), "93.184.215.15")
    assert pool.host == "93.184.215.15"
    assert pool.assert_hostname == pool.conn_kw["server_hostname"] == host.strip("[]")
    assert pool.conn_kw["ssl_context"].verify_mode.name == "CERT_REQUIRED"
