"""Download of a dump from an http(s) URL."""

import base64
import io
import re
import socket

import pytest
import requests
from urllib3 import HTTPResponse

from tests.plugins.memory_hdfs import MemoryHdfs
from tests.plugins.test_landing import CONTENT, HDFS, sources
from vaxpulse_airflow import download
from vaxpulse_airflow.landing import deliver_dump


@pytest.fixture
def hdfs():
    return MemoryHdfs()


class Web:
    """Responses by URL: status, headers, body. Records the requested URLs and their Authorization headers."""

    def __init__(self, monkeypatch):
        self.responses, self.requested, self.authorizations = {}, [], []
        self.addresses = {"example.org": "93.184.215.14", "mirror.org": "93.184.215.15"}
        monkeypatch.setattr(requests.Session, "send", self.send)
        monkeypatch.setattr(
            download.socket,
            "getaddrinfo",
            lambda host, *_, **__: [(2, 1, 6, "", (self.addresses[host], 443))],
        )

    def send(self, request, *, stream, timeout, allow_redirects, **_):
        assert stream
        assert timeout
        assert not allow_redirects
        assert request.headers["Host"] in request.url
        self.requested.append(request.url)
        self.authorizations.append(request.headers.get("Authorization"))
        status, headers, body = self.responses[re.sub("//.*@", "//", request.url)]
        response = requests.Response()
        response.status_code, response.url, response.reason = status, request.url, "Reason"
        response.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        response.headers.update(headers)
        return response


@pytest.fixture
def web(monkeypatch):
    return Web(monkeypatch)


def basic(credentials):
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def test_secret_parts_of_a_url_are_not_stored(hdfs, web):
    url = "https://me:password@example.org/dump.csv?signature=abc"
    web.responses["https://example.org/dump.csv?signature=abc"] = (
        200,
        {"Content-Length": str(len(CONTENT))},
        CONTENT,
    )
    assert deliver_dump(hdfs, url, None, HDFS) == "https://example.org/dump.csv"
    assert sources(hdfs) == ["https%3A%2F%2Fexample.org%2Fdump.csv"]
    assert list(hdfs.files.values()) == [CONTENT]


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [("me:p%40ss%C3%BC@", "me:p@ssü"), ("token@", "token:")],
)
def test_user_and_password_of_a_url_are_sent(hdfs, web, credentials, sent):
    web.responses["https://example.org/dump.csv"] = 200, {}, CONTENT
    deliver_dump(hdfs, f"https://{credentials}example.org/dump.csv", None, HDFS)
    assert web.authorizations == [basic(sent)]


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/other.csv", basic("me:password")),
        ("https://example.org/other.csv", basic("me:password")),
        ("http://example.org/other.csv", None),
        ("https://example.org:8443/other.csv", None),
        ("https://mirror.org/other.csv", None),
    ],
)
def test_user_and_password_are_not_sent_to_another_host_after_a_redirect(hdfs, web, location, sent):
    web.responses["https://example.org/dump.csv"] = 302, {"Location": location}, b""
    for url in (location, f"https://example.org{location}"):
        web.responses[url] = 200, {}, CONTENT
    deliver_dump(hdfs, "https://me:password@example.org/dump.csv", None, HDFS)
    assert web.authorizations == [basic("me:password"), sent]


def test_credentials_of_netrc_are_not_sent(hdfs, web, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine example.org login me password password\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.responses["https://example.org/dump.csv"] = 200, {}, CONTENT
    deliver_dump(hdfs, "https://example.org/dump.csv", None, HDFS)
    assert web.authorizations == [None]


def test_interrupted_response_is_not_delivered(hdfs, web):
    web.responses["https://example.org/dump.csv"] = 200, {"Content-Length": "1000000"}, b"x" * 27
    with pytest.raises(OSError, match=r"only 27 of 1,000,000 bytes were received"):
        deliver_dump(hdfs, "https://example.org/dump.csv", None, HDFS)
    assert hdfs.files == {}


def test_message_about_a_failed_request_has_no_secret(hdfs, web, monkeypatch):
    url = "https://me:password@example.org/dump.csv?signature=abc"
    web.responses["https://example.org/dump.csv?signature=abc"] = 403, {}, b""
    with pytest.raises(ValueError, match="the server answers 403 Reason") as refusal:
        deliver_dump(hdfs, url, None, HDFS)

    def fail(*_, **__):
        raise requests.ConnectionError(url)

    monkeypatch.setattr(requests.Session, "send", fail)
    with pytest.raises(OSError, match="cannot be read: ConnectionError") as failure:
        deliver_dump(hdfs, url, None, HDFS)
    assert not re.search("abc|me:|password", f"{refusal.value} {failure.value}")
    assert failure.value.__suppress_context__


@pytest.mark.parametrize("status", [429, 500, 503])
def test_overloaded_or_failing_server_is_an_error_that_is_retried(hdfs, web, status):
    web.responses["https://example.org/dump.csv"] = status, {}, b""
    with pytest.raises(OSError, match=f"cannot be read: the server answers {status}"):
        deliver_dump(hdfs, "https://example.org/dump.csv", None, HDFS)


def test_failing_name_server_is_an_error_that_is_retried(hdfs, web, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match="name resolution") as failure:
        deliver_dump(hdfs, "https://me:password@example.org/dump.csv", None, HDFS)
    assert not isinstance(failure.value, socket.gaierror)
    assert "password" not in str(failure.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.5", "::1", "::ffff:127.0.0.1"])
def test_internal_address_is_refused_also_after_a_redirect(hdfs, web, address, monkeypatch):
    web.addresses["inner"] = address
    for url in ("http://inner/latest", "https://example.org/away"):
        web.responses["https://example.org/away"] = 302, {"Location": "http://inner/latest"}, b""
        with pytest.raises(ValueError, match="http://inner/latest has an address that is not public"):
            deliver_dump(hdfs, url, None, HDFS)
    assert web.requested == ["https://example.org/away"]
    monkeypatch.setenv("VAXPULSE_DUMP_HOSTS", "other,inner")
    web.responses["http://inner/latest"] = 200, {}, CONTENT
    deliver_dump(hdfs, "https://example.org/away", None, HDFS)
    assert list(hdfs.files.values()) == [CONTENT]


class Connections:
    """Replaces the network. Records addresses and sent bytes. The first connection is refused."""

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


def test_host_is_resolved_once_and_only_checked_addresses_are_used(hdfs, monkeypatch):
    # DNS rebinding: the first answer has two public addresses, later answers name the worker itself.
    answers = [["93.184.215.14", "93.184.215.15"], ["127.0.0.1"], ["127.0.0.1"]]
    monkeypatch.setattr(
        download.socket,
        "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", (address, 80)) for address in answers.pop(0)],
    )
    connections = Connections()
    monkeypatch.setattr("urllib3.util.connection.create_connection", connections.create_connection)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    deliver_dump(hdfs, "http://me:password@example.org:8080/dump.csv", None, HDFS)
    assert connections.addresses == [("93.184.215.14", 8080), ("93.184.215.15", 8080)]
    assert b"\r\nHost: example.org:8080\r\n" in connections.sent
    assert f"\r\nAuthorization: {basic('me:password')}\r\n".encode() in connections.sent
    assert list(hdfs.files.values()) == [CONTENT]


def test_certificate_must_match_the_host_name():
    request = requests.Request("GET", "https://example.org/dump.csv").prepare()
    pool = download.FixedAddressAdapter("93.184.215.14").get_connection_with_tls_context(request, verify=True)
    assert pool.host == "93.184.215.14"
    assert pool.assert_hostname == pool.conn_kw["server_hostname"] == "example.org"
    assert pool.cert_reqs == "CERT_REQUIRED"
