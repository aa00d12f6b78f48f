"""Download of a dump from an http(s) URL. Addresses that are not public are refused."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import HTTPError

from vaxpulse_airflow.webhdfs import BLOCK_BYTES, TIMEOUT_SECONDS

MAX_REQUESTS = 5  # the first request and its redirects


def redact_url(url: str) -> str:
    """Return a URL without user, password, query and fragment, which may be secret.

    >>> redact_url("https://me:pw@example.org:8443/june.csv?signature=abc#part")
    'https://example.org:8443/june.csv'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def open_url(url: str) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """Yield the blocks of a file and its length in bytes, or None if the server does not announce the length.

    User and password of the URL are sent to its host only: not after a redirect to another host.

    Raises:
        ValueError: the address is not public, or the server does not have the file.
        OSError: the server cannot be reached or is overloaded.
    """
    redacted, first_url, auth = redact_url(url), url, credentials(url)

    def read(response: requests.Response) -> Iterator[bytes]:
        try:
            # Undecoded, because Content-Length counts the bytes as they are sent.
            yield from response.raw.stream(BLOCK_BYTES, decode_content=False)
        except (requests.RequestException, HTTPError) as error:
            raise OSError(f"the download of {redacted} was interrupted: {type(error).__name__}") from None

    with requests.Session() as session:
        try:
            for _ in range(MAX_REQUESTS):
                response = send_request(
                    session, url, _NoAuth() if session.should_strip_auth(first_url, url) else auth
                )
                if not response.is_redirect:
                    break
                url = urljoin(url, response.headers["Location"])
        except requests.RequestException as error:
            # The message of `error` contains the whole URL.
            raise OSError(f"{redacted} cannot be read: {type(error).__name__}") from None
        if response.status_code != requests.codes.ok:
            is_outage = (
                response.status_code >= 500 or response.status_code == requests.codes.too_many_requests
            )
            raise (OSError if is_outage else ValueError)(
                f"{redacted} cannot be read: the server answers {response.status_code} {response.reason}"
            )
        length = response.headers.get("Content-Length")
        yield read(response), int(length) if length else None


class _NoAuth(AuthBase):
    """Adds no credentials. Without it, requests would add those of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def credentials(url: str) -> AuthBase:
    """Return the user and password of a URL."""
    parts = urlsplit(url)
    user, password = (unquote(part or "").encode() for part in (parts.username, parts.password))
    return HTTPBasicAuth(user, password) if user or password else _NoAuth()


class FixedAddressAdapter(HTTPAdapter):
    """Connects to a given address without another DNS query. TLS verifies the certificate of the host."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def build_connection_pool_key_attributes(
        self, *arguments: Any, **named: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        server, tls = super().build_connection_pool_key_attributes(*arguments, **named)
        if server["scheme"] == "https":
            tls |= {"server_hostname": server["host"], "assert_hostname": server["host"]}
        return server | {"host": self._address}, tls


def send_request(session: requests.Session, url: str, auth: AuthBase) -> requests.Response:
    """Send a GET request to the first allowed address of a URL that accepts connections."""
    parts = urlsplit(url)
    addresses = allowed_addresses(url)
    for address in addresses:
        session.mount(f"{parts.scheme}://", FixedAddressAdapter(address) if address else HTTPAdapter())
        headers = {"Accept-Encoding": "identity", "Host": parts.netloc.rpartition("@")[2]}
        try:
            return session.get(
                url, auth=auth, stream=True, timeout=TIMEOUT_SECONDS, allow_redirects=False, headers=headers
            )
        except requests.ConnectionError:
            if address == addresses[-1]:
                raise
    raise AssertionError("getaddrinfo returns at least one address")


def allowed_addresses(url: str) -> list[str | None]:
    """Return the addresses of a URL's host, or [None] (no restriction) for a host in VAXPULSE_DUMP_HOSTS.

    Raises:
        OSError: the name server does not answer.
        ValueError: an address is not public. Users who may trigger the DAG must not reach internal services.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{redact_url(url)} is not an http(s) URL")
    if parts.hostname in os.environ.get("VAXPULSE_DUMP_HOSTS", "").split(","):
        return [None]
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise (OSError if error.errno == socket.EAI_AGAIN else ValueError)(
            f"{redact_url(url)} cannot be read: the host {parts.hostname} is unknown ({error.strerror})"
        ) from None
    addresses = [ipaddress.ip_address(address[0]) for *_, address in found]
    if not all(address.is_global and not address.is_multicast for address in addresses):
        raise ValueError(
            f"{redact_url(url)} has an address that is not public. An administrator can allow it: add "
            f"{parts.hostname} to VAXPULSE_DUMP_HOSTS"
        )
    return [str(address) for address in addresses]
