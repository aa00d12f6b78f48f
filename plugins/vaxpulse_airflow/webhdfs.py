"""WebHDFS with timeouts, reads that avoid dead DataNodes, and complete uploads."""

import logging
import os
import posixpath
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook

from vaxpulse_airflow.names import later_name

if TYPE_CHECKING:
    from hdfs import Client

log = logging.getLogger(__name__)

# To connect, and between two packets. Without a limit, a server that hangs would block a task or the trigger.
TIMEOUT_SECONDS = (10, 60)
MAX_ATTEMPTS = 5
BLOCK_BYTES = 1 << 20
UPLOAD_PREFIX = ".uploading-"


class TimedWebHDFSHook(WebHDFSHook):
    """WebHDFSHook with TIMEOUT_SECONDS, literal paths, and the header that the DataNode requires.

    Its client repeats reads that were redirected to a dead DataNode.
    """

    def _get_client(self, *arguments: Any) -> "Client":
        client = super()._get_client(*arguments)
        client._session.headers[os.environ["VAXPULSE_DATANODE_HEADER"]] = "vaxpulse"
        client._timeout = TIMEOUT_SECONDS  # an argument of the client that the hook does not pass
        client._request = partial(request_from_live_datanode, client._request)
        # HdfsCLI's own method replaces `#LATEST` in a path by the name of the latest file.
        client.resolve = posixpath.normpath
        return client


def request_from_live_datanode(
    send: Callable[..., requests.Response],
    method: str,
    url: str,
    params: dict[str, Any] | None = None,
    **arguments: Any,
) -> requests.Response:
    """Send a WebHDFS request. If a read is redirected to a dead DataNode, repeat it without that DataNode.

    The NameNode redirects readers to a dead DataNode for 15 s or more. Java's client tries other replicas.
    HDFS honours `excludedatanodes` for OPEN, but not for GETFILECHECKSUM, where it chooses a random DataNode.

    Args:
        send: sends one request and follows its redirects.
        method: HTTP method. Only GET is repeated.
        url: URL at the NameNode.
        params: query.
        arguments: further arguments of `send`.
    """
    dead: set[str] = set()
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        query = (params or {}) | ({"excludedatanodes": ",".join(sorted(dead))} if dead else {})
        try:
            return send(method=method, url=url, params=query, **arguments)
        except requests.ConnectionError as error:
            server = urlsplit(str(error.request.url)).netloc if error.request is not None else ""
            if method != "GET" or server in ("", urlsplit(url).netloc) or not attempts_left:
                raise
            log.warning("the DataNode at %s does not answer; trying another", server)
            dead |= {transfer for web, transfer in block_locations(send, url) if web == server}
    raise AssertionError("the last attempt returns or raises")


def block_locations(send: Callable[..., requests.Response], url: str) -> set[tuple[str, str]]:
    """Return `host:port` of web server and data transfer of each DataNode with a block of a file."""
    response = send(method="GET", url=url, params={"op": "GET_BLOCK_LOCATIONS"})
    response.raise_for_status()
    blocks = response.json()["LocatedBlocks"]["locatedBlocks"]
    nodes = [node for block in blocks for node in block["locations"]]
    return {
        (f"{node['hostName']}:{node['infoPort']}", f"{node['ipAddr']}:{node['xferPort']}") for node in nodes
    }


def path_in_file_system(uri: str, file_system: str) -> str:
    """Return the path of an hdfs:// URI.

    As in Hadoop, the path is not percent-decoded, and it may contain `?` and `#`.

    >>> path_in_file_system("hdfs://namenode:8020/june.csv", "hdfs://namenode:8020")
    '/june.csv'
    >>> path_in_file_system("hdfs:///june.csv", "hdfs://namenode:8020")
    '/june.csv'

    Raises:
        ValueError: the URI names another file system, or the path cannot be read by WebHDFS.
    """
    server, _, path = uri.removeprefix("hdfs://").partition("/")
    if server not in ("", urlsplit(file_system).netloc):
        raise ValueError(
            f"{uri} is not in {file_system}: copy it there (hadoop distcp), or use an http(s) URL"
        )
    if not unicodedata.is_normalized("NFC", path) or "\0" in path:
        raise ValueError(
            f"WebHDFS can read only names in Unicode's form NFC and without NUL: rename {path!r}"
        )
    return posixpath.normpath("/" + path.lstrip("/"))


def find_status(client: "Client", path: str) -> dict[str, Any] | None:
    """Return the status of a file or folder, or None if it does not exist. Other failures raise HdfsError."""
    from hdfs import HdfsError

    try:
        status: dict[str, Any] = client.status(path)
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return None
        raise
    return status


def is_closed(client: "Client", path: str) -> bool:
    """Return whether a file exists and is not open for writing.

    WebHDFS has no such operation, but a checksum request fails for an open file. HDFS stores checksums: no
    data is read.
    """
    from hdfs import HdfsError

    try:
        client.checksum(path)
    except HdfsError as error:
        if "under construction" in str(error) or find_status(client, path) is None:
            return False
        raise
    return True


def upload(
    client: "Client", blocks: Iterator[bytes], expected_bytes: int | None, folder: str, name: str
) -> None:
    """Write a file to a hidden name, and rename it when it is complete.

    If another file has the name, the name with a later time is used. If that file has the same content, it is
    a copy that an interrupted call has uploaded, and nothing is added.

    Args:
        client: WebHDFS client.
        blocks: content.
        expected_bytes: length of the content, or None if it is unknown.
        folder: target folder.
        name: a name of `contracts.delivered_names`.

    Raises:
        OSError: the source or the stored file has another length.
    """
    path, sent_bytes = f"{folder}/{UPLOAD_PREFIX}{uuid.uuid4()}", 0

    def count() -> Iterator[bytes]:
        nonlocal sent_bytes
        for block in blocks:
            sent_bytes += len(block)
            yield block

    client.makedirs(folder)
    try:
        client.write(path, data=count())
        stored_bytes = client.status(path)["length"]
        if expected_bytes is not None and sent_bytes != expected_bytes:
            raise OSError(
                f"{sent_bytes:,} bytes were received instead of {expected_bytes:,}: the transfer was "
                "interrupted, or the file is still being written"
            )
        if stored_bytes != sent_bytes:
            raise OSError(f"HDFS has stored {stored_bytes:,} of {sent_bytes:,} bytes")
        while find_status(client, f"{folder}/{name}") is not None:
            if client.checksum(f"{folder}/{name}") == client.checksum(path):
                return
            name = later_name(name)
        client.rename(path, f"{folder}/{name}")
    finally:
        client.delete(path)
