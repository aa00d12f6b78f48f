"""WebHDFS reads succeed if a DataNode is dead, and every request has a timeout."""

import io
import itertools
import json
from contextlib import nullcontext

import pytest
import requests
from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook
from hdfs import HdfsError, InsecureClient

from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

NAMENODE = "http://namenode:9870"


def respond(status, content=b""):
    response = requests.Response()
    response.status_code, response._content, response.raw = status, content, io.BytesIO(content)
    return response


class Namenode:
    """A NameNode with two DataNodes, which both have each block. Dead ones refuse connections.

    A read is redirected to the first one that is not excluded. Checksum requests alternate.
    """

    def __init__(self, dead):
        self.dead = dead
        self.headers = {}
        self.requested = []
        self.timeouts = set()
        self.turns = itertools.cycle([1, 2])

    def request(self, method, url, params=None, timeout=None, **arguments):
        params = params or {}
        operation = params.get("op")
        self.requested.append(operation)
        self.timeouts.add(timeout)
        if operation == "CREATE":
            redirect = respond(307)
            redirect.headers["location"] = "http://datanode-1:9864/webhdfs/v1/a"
            return redirect
        if operation == "GET_BLOCK_LOCATIONS":
            nodes = [
                {"hostName": f"datanode-{n}", "infoPort": 9864, "ipAddr": f"10.0.0.{n}", "xferPort": 9866}
                for n in (1, 2)
            ]
            return respond(
                200, json.dumps({"LocatedBlocks": {"locatedBlocks": [{"locations": nodes}]}}).encode()
            )
        if operation == "GETFILESTATUS":
            raise requests.ConnectionError(request=requests.Request(method, url).prepare())
        if operation == "OPEN":
            left = [
                n for n in (1, 2) if f"10.0.0.{n}:9866" not in params.get("excludedatanodes", "").split(",")
            ]
            if not left:
                return respond(
                    403,
                    b'{"RemoteException": {"message": "No active nodes contain it", "exception": ""}}',
                )
            chosen = left[0]
        else:
            chosen = next(self.turns)
        if chosen in self.dead:
            raise requests.ConnectTimeout(
                request=requests.Request(method, f"http://datanode-{chosen}:9864/webhdfs/v1/a").prepare()
            )
        return respond(200, b'{"FileChecksum": "of datanode %d"}' % chosen)


@pytest.fixture
def connect(monkeypatch):
    """Return a function that connects a client to a NameNode with dead DataNodes."""
    monkeypatch.setenv("VAXPULSE_DATANODE_HEADER", "X-secret")

    def client(*dead):
        client = InsecureClient(NAMENODE, user="ann")
        monkeypatch.setattr(WebHDFSHook, "_get_client", lambda *_: client)
        client._session = Namenode(dead)
        return TimedWebHDFSHook()._get_client(), client._session

    return client


def read(client):
    with client.read("/a") as file:
        return file.read()


def test_read_is_repeated_without_a_dead_datanode(connect):
    client, namenode = connect(1)
    assert b"of datanode 2" in read(client)
    assert namenode.requested == ["OPEN", "GET_BLOCK_LOCATIONS", "OPEN"]


def test_checksum_request_is_repeated_until_a_live_datanode_is_chosen(connect):
    client, _ = connect(1)
    assert client.checksum("/a") == "of datanode 2"


def test_read_is_not_repeated_if_the_datanode_answers(connect):
    client, namenode = connect()
    assert b"of datanode 1" in read(client)
    assert namenode.requested == ["OPEN"]


def test_read_fails_if_every_datanode_with_the_block_is_dead(connect):
    client, namenode = connect(1, 2)
    with pytest.raises(HdfsError, match="No active nodes contain it"):
        read(client)
    with pytest.raises(requests.ConnectionError):
        client.checksum("/a")
    assert namenode.requested.count("GETFILECHECKSUM") == 5


def test_request_is_not_repeated_if_the_namenode_does_not_answer(connect):
    client, namenode = connect()
    with pytest.raises(requests.ConnectionError):
        client.status("/a")
    assert namenode.requested == ["GETFILESTATUS"]


@pytest.mark.parametrize("dead", [[], [1]])
def test_write_is_not_repeated(connect, dead):
    client, namenode = connect(*dead)
    namenode.turns = itertools.repeat(1)
    with pytest.raises(requests.ConnectionError) if dead else nullcontext():
        client.write("/a", data=iter([b"a dump"]))
    assert namenode.requested == ["CREATE", None]


def test_request_has_a_timeout(connect):
    client, namenode = connect()
    read(client)
    assert namenode.timeouts == {(10, 60)}


@pytest.mark.parametrize("path", ["/landing/#LATEST", "/landing/#LATEST{2}", "/a#LATEST/b"])
def test_path_is_literal(connect, path):
    client, namenode = connect()
    client.checksum(path)
    assert namenode.requested == ["GETFILECHECKSUM"]  # no listing to find the latest file
    assert client.resolve(path) == path
    assert client.resolve("/a/../../jmx") == "/jmx"  # stays below /webhdfs/v1


def test_request_has_the_header_that_the_datanode_requires(connect):
    _, namenode = connect()
    assert list(namenode.headers) == ["X-secret"]
