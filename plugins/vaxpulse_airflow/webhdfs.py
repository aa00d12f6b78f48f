"""WebHDFS as the platform uses it: no request waits for ever, and a read outlives a DataNode."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook

if TYPE_CHECKING:
    from hdfs import Client

log = logging.getLogger(__name__)

# To connect, and between two answers: a server that hangs must not hold a task or the trigger for ever.
TIMEOUT_SECONDS = (10, 60)
MOST_TRIES = 5


class TimedWebHDFSHook(WebHDFSHook):
    """WebHDFS with TIMEOUT_SECONDS, where the provider's hook waits for ever; reads are sent to DataNodes that answer."""

    def _get_client(self, *arguments: Any) -> Client:
        client = super()._get_client(*arguments)
        client._timeout = TIMEOUT_SECONDS  # the client takes it as an argument, which the hook does not pass
        client._request = partial(request_from_live_datanode, client._request)
        return client


def request_from_live_datanode(
    send: Callable[..., requests.Response],
    method: str,
    url: str,
    params: dict[str, Any] | None = None,
    **arguments: Any,
) -> requests.Response:
    """Send a WebHDFS request. A read that is redirected to a DataNode which takes no connection is sent again without that DataNode.

    The NameNode believes for 15 s or more that a dead DataNode lives, and sends readers to it; Java's client tries the other copies by itself.
    Of a file's bytes HDFS honours `excludedatanodes`. For a checksum it does not, but it chooses a DataNode at random each time.

    Args:
        send: sends one request, and follows its redirects.
        method: the HTTP method; only GET is sent again.
        url: the path at the NameNode.
        params: the query.
        arguments: what `send` takes besides.
    """
    dead: set[str] = set()
    for tries_left in reversed(range(MOST_TRIES)):
        query = (params or {}) | ({"excludedatanodes": ",".join(sorted(dead))} if dead else {})
        try:
            return send(method=method, url=url, params=query, **arguments)
        except requests.ConnectionError as error:
            silent = urlsplit(str(error.request.url)).netloc if error.request is not None else ""
            if method != "GET" or silent in ("", urlsplit(url).netloc) or not tries_left:
                raise
            log.warning("the DataNode at %s does not answer; asking for another", silent)
            dead |= {transfer for web, transfer in block_locations(send, url) if web == silent}
    raise AssertionError("the last try returns or raises")


def block_locations(send: Callable[..., requests.Response], url: str) -> set[tuple[str, str]]:
    """Return, of each DataNode with a block of the file, `host:port` of its web server and `address:port` of its data transfer."""
    answer = send(method="GET", url=url, params={"op": "GET_BLOCK_LOCATIONS"})
    answer.raise_for_status()
    blocks = answer.json()["LocatedBlocks"]["locatedBlocks"]
    nodes = [node for block in blocks for node in block["locations"]]
    return {
        (f"{node['hostName']}:{node['infoPort']}", f"{node['ipAddr']}:{node['xferPort']}") for node in nodes
    }
