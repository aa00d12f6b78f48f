"""Download of a dump from an http(s) URL, with bounds on bytes and time. Only public addresses are allowed.

A URL is parsed once, by the library that connects. Each host is resolved once, and the connection is made to
an address that was checked. Proxies are not used, because a proxy resolves the host again.
"""

import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from queue import Empty, Queue
from typing import Any
from urllib.parse import urljoin

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationParseError, NewConnectionError
from urllib3.util import Timeout, Url, parse_url

from vaxpulse_airflow.webhdfs import BLOCK_BYTES

MAX_REQUESTS = 5  # the first request and its redirects
CONNECT_SECONDS = 10.0
# The response, and each block of 1 MiB, must arrive within this time: 17 KB/s.
BLOCK_SECONDS = 60.0
UNSAFE = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")
# All other IPv6 networks are reserved, local, multicast, or translate to IPv4 (64:ff9b::/96, ::/96). 6to4
# addresses contain an IPv4 address.
PUBLIC_IPV6, SIX_TO_FOUR = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("2002::/16")


@dataclass(frozen=True)
class Limits:
    """Bounds on a download.

    Attributes:
        max_gib: size of the file as it is sent.
        max_minutes: time from the first request to the last byte.
    """

    max_gib: float
    max_minutes: float


DEFAULT_LIMITS = Limits(max_gib=20, max_minutes=60)


def redact_url(url: str) -> str:
    """Return a URL without query and fragment, which may be secret.

    >>> redact_url("https://example.org:8443/june.csv?signature=abc#part")
    'https://example.org:8443/june.csv'
    """
    return re.split(r"[?#]", url, maxsplit=1)[0]


@contextmanager
def open_url(url: str, limits: Limits) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """Yield the blocks of a file and its length in bytes, or None if the server does not announce the length.

    A thread sends the requests, because no timeout of the socket bounds the time until a slow server has sent
    all headers or a whole block.

    Raises:
        ValueError: the address is not public, the server does not have the file, or a limit is exceeded.
        OSError: the server cannot be reached or is overloaded.
    """
    redacted = redact_url(str(parse_http_url(url)))
    deadline = time.monotonic() + limits.max_minutes * 60
    received: Queue[Any] = Queue(maxsize=2)  # a list of the length, blocks, an empty block; or an exception
    stopped = threading.Event()

    def receive() -> None:
        try:
            response = request(url)
            received.put([response.length_remaining])
            while not stopped.is_set() and (block := response.read(BLOCK_BYTES, decode_content=False)):
                received.put(block)
            received.put(b"")
        except HTTPError as error:  # its message may contain the whole URL
            received.put(OSError(f"{redacted} cannot be read: {type(error).__name__}"))
        except Exception as error:
            received.put(error)

    def take() -> Any:
        item = None
        with suppress(Empty):
            item = received.get(timeout=max(0.0, min(BLOCK_SECONDS, deadline - time.monotonic())))
        if time.monotonic() > deadline:
            raise ValueError(
                f"the download of {redacted} takes more than {limits.max_minutes:g} minutes: increase "
                "max_download_minutes, or put the file into a landing folder"
            )
        if item is None:
            raise ValueError(
                f"{redacted} cannot be read: less than 1 MiB arrived within {BLOCK_SECONDS:g} s. Try again "
                "later, or put the file into a landing folder"
            )
        if isinstance(item, Exception):
            raise item
        return item

    def require_size(size: int) -> None:
        if size > limits.max_gib * 2**30:
            raise ValueError(
                f"{redacted} is larger than {limits.max_gib:g} GiB: increase max_download_gib, or put the "
                "file into a landing folder"
            )

    def blocks() -> Iterator[bytes]:
        size = 0
        while block := take():
            size += len(block)
            require_size(size)
            yield block

    threading.Thread(target=receive, daemon=True).start()
    try:
        [length] = take()
        require_size(length or 0)
        yield blocks(), length
    finally:
        stopped.set()
        while not received.empty():  # the thread may wait for a free place
            received.get_nowait()


def parse_http_url(url: str) -> Url:
    """Return the parts of a URL as urllib3 connects to them.

    Raises:
        ValueError: it is not a URL with the scheme http or https, or other parsers would read another host.
            The message does not contain the URL, which may contain a password.
    """
    if UNSAFE.search(url):
        raise ValueError("the URL contains a backslash or a control character: percent-encode it")
    try:
        parsed = parse_url(url)
    except (LocationParseError, UnicodeError):
        raise ValueError("the URL has an invalid host or port: correct it") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the address is not an http(s) URL with a host: correct it")
    if parsed.auth is not None:
        raise ValueError(
            "the URL contains a user or a password, which Airflow would store and show: use a signed URL, or "
            "put the file into a landing folder"
        )
    return parsed


def request(url: str) -> BaseHTTPResponse:
    """Return the response to a GET request for a URL, after redirects."""
    for _ in range(MAX_REQUESTS):
        response = send_request(parse_http_url(url))
        location = response.get_redirect_location()
        if not location:
            break
        response.close()
        url = urljoin(url, location)
    if response.status != HTTPStatus.OK:
        is_outage = response.status >= 500 or response.status == HTTPStatus.TOO_MANY_REQUESTS
        raise (OSError if is_outage else ValueError)(
            f"{redact_url(url)} cannot be read: the server answers {response.status} {response.reason}"
        )
    return response


def send_request(url: Url) -> BaseHTTPResponse:
    """Send a GET request to the first allowed address of a URL that accepts connections."""
    addresses = allowed_addresses(url)
    for address in addresses:
        try:
            return connect(url, address).urlopen(
                "GET",
                url.request_uri,
                headers={"Accept-Encoding": "identity", "Host": url.netloc or ""},
                # The caller stops waiting earlier. Then this timeout ends the thread.
                timeout=Timeout(connect=CONNECT_SECONDS, read=2 * BLOCK_SECONDS),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except (NewConnectionError, ConnectTimeoutError):
            if address == addresses[-1]:
                raise
    raise AssertionError("getaddrinfo returns at least one address")


def connect(url: Url, address: str) -> HTTPConnectionPool:
    """Return a pool that connects to an address. TLS verifies the certificate of the URL's host."""
    if url.scheme == "http":
        return HTTPConnectionPool(address, url.port)
    context = ssl.create_default_context()  # the machine's authorities; SSL_CERT_FILE adds some
    context.load_verify_locations(certifi.where())
    host = host_name(url)
    return HTTPSConnectionPool(
        address, url.port, ssl_context=context, server_hostname=host, assert_hostname=host
    )


def host_name(url: Url) -> str:
    """Return the host of a URL without the brackets of an IPv6 address."""
    return (url.host or "").strip("[]")


def allowed_addresses(url: Url) -> list[str]:
    """Return the addresses of a URL's host. All must be public, unless VAXPULSE_DUMP_HOSTS names the host.

    Raises:
        OSError: the name server does not answer.
        ValueError: an address is not public. Users who may trigger the DAG must not reach internal services.
    """
    host, redacted = host_name(url), redact_url(str(url))
    try:
        found = socket.getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise (OSError if error.errno == socket.EAI_AGAIN else ValueError)(
            f"{redacted} cannot be read: the host {host} is unknown ({error.strerror})"
        ) from None
    except UnicodeError:
        raise ValueError(f"{redacted} cannot be read: the host name is invalid") from None
    addresses = [str(address[0]) for *_, address in found]
    allowed = os.environ.get("VAXPULSE_DUMP_HOSTS", "").lower().split(",")
    if host not in map(str.strip, allowed) and not all(map(is_public, addresses)):
        raise ValueError(
            f"{redacted} has an address that is not public. An administrator can allow it: add {host} to "
            "VAXPULSE_DUMP_HOSTS"
        )
    return addresses


def is_public(address: str) -> bool:
    """Return whether an IP address is public and cannot lead to one that is not.

    >>> [is_public(a) for a in ("93.184.215.14", "2606:4700::1111", "10.0.0.1", "64:ff9b::7f00:1")]
    [True, True, False, False]
    """
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6 and (parsed not in PUBLIC_IPV6 or parsed in SIX_TO_FOUR):
        return False
    return parsed.is_global and not parsed.is_multicast
