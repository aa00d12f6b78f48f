"""Whatever URL a user enters and a server redirects to: a connection is made only to an allowed address."""

import io
import ipaddress
import os
import socket
from contextlib import suppress
from unittest.mock import patch
from urllib.parse import urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from vaxpulse_airflow import download
from vaxpulse_airflow.download import Limits, open_url, parse_http_url

EXAMPLES = int(os.environ.get("VAXPULSE_FUZZ_DUMPS", "300"))
ALLOWED = "files.example.org"
HOSTS = [
    *(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
    ),
    *(
        "[2002:7f00:1::]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "１２７.0.0.1",
        "127。0。0。1",
        "localhost",
        "LOCALHOST.",
    ),
    *(
        "inner",
        "rebind",
        "public",
        ALLOWED,
        ALLOWED.upper(),
        f"{ALLOWED}.",
        f"{ALLOWED}%00",
        "ex\u0131t",
        "93.184.215.14",
    ),
]
SEPARATORS = [
    *"\\/@:?#%&;., \t\n\r\0\x7f\u202e",
    "\\@",
    "//",
    "%5c",
    "%40",
    "%2f",
    "..",
    ":80",
    ":0",
    ":99999",
    "a:b@",
    "@@",
]
urls = st.builds(
    lambda scheme, parts: scheme + "".join(parts),
    st.sampled_from(["http://", "https://", "HTTP://", "http:/", "http:", "http:///", "https:\\\\"]),
    st.lists(st.one_of(st.sampled_from(HOSTS), st.sampled_from(SEPARATORS), st.text(max_size=3)), max_size=6),
)


class Network:
    """A name server and a web that redirects every request. Records the addresses of connections."""

    def __init__(self, locations: list[str]) -> None:
        self.locations, self.connections, self.answered = [*locations], [], set()

    def resolve(self, host: str, *_: object, **__: object) -> list[tuple]:
        """Numbers are addresses, as in glibc. `rebind` is public at first."""
        host.encode("idna")  # as the real function
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            try:
                address = socket.inet_ntoa(socket.inet_aton(host))
            except (OSError, UnicodeError):
                is_public = host == "public" or (host == "rebind" and host not in self.answered)
                address = "93.184.215.14" if is_public else "10.0.0.1"
        self.answered.add(host)
        return [(2, 1, 6, "", (address, 80))]

    def connect(self, url: object, address: str) -> "Network":
        self.connections.append((url.host, address))
        return self

    def urlopen(self, *_: object, **__: object) -> HTTPResponse:
        location = self.locations.pop(0) if self.locations else None
        headers = {"Location": location} if location is not None else {}
        status = 302 if headers else 200
        return HTTPResponse(io.BytesIO(b"x"), headers, status, preload_content=False, request_method="GET")


@given(st.lists(urls, min_size=1, max_size=4))
@example([rf"http://127.0.0.1:80\@{ALLOWED}/x.csv"])
@example([rf"http://{ALLOWED}\@127.0.0.1/x.csv"])
@example(["http://public/", r"\\127.0.0.1\x"])
@example(["http://rebind/", "http://rebind/"])
@settings(max_examples=EXAMPLES, deadline=None)
def test_connections_are_made_only_to_allowed_addresses(chain: list[str]) -> None:
    network = Network(chain[1:])
    with (
        patch.dict(os.environ, {"VAXPULSE_DUMP_HOSTS": ALLOWED}),
        patch.object(download.socket, "getaddrinfo", network.resolve),
        patch.object(download, "connect", network.connect),
        suppress(ValueError, OSError),  # every other exception fails the test
        open_url(chain[0], Limits(1, 1)) as (blocks, _),
    ):
        assert b"".join(blocks) == b"x"
    for host, address in network.connections:
        assert host == ALLOWED or download.is_public(address)


@given(urls)
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_accepted_url_has_one_host_for_every_parser(url: str) -> None:
    try:
        parsed = parse_http_url(url)
    except ValueError:
        return
    for text in (url, str(parsed)):
        assert not urlsplit(text).username
        assert not urlsplit(text).password
        host = urlsplit(text).hostname
        assert host is not None
    assert urlsplit(str(parsed)).hostname == parsed.host.strip("[]")
