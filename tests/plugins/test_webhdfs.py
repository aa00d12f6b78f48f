"""WebHDFS reads go on when a DataNode is dead, and no request waits for ever."""

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


def answer(status, content=b""):
    response = requests.Response()
    response.status_code, response._content, response.raw = status, content, io.BytesIO(content)
    return response


class Namenode:
    """Two DataNodes hold each block; the dead ones take no connection. A reader is sent to the first that is not excluded, for a checksum in turn."""

    def __init__(self, dead):
        self.dead = dead
        self.asked = []
        self.timeouts = set()
        self.turns = itertools.cycle([1, 2])

    def request(self, method, url, params=None, timeout=None, **arguments):
        params = params or {}
        operation = params.get("op")
        self.asked.append(operation)
        self.timeouts.add(timeout)
        if operation == "CREATE":
            redirect = answer(307)
            redirect.headers["location"] = "http://datanode-1:9864/webhdfs/v1/a"
            return redirect
        if operation == "GET_BLOCK_LOCATIONS":
            nodes = [
                {"hostName": f"datanode-{n}", "infoPort": 9864, "ipAddr": f"10.0.0.{n}", "xferPort": 9866}
                for n in (1, 2)
            ]
            return answer(
                200, json.dumps({"LocatedBlocks": {"locatedBlocks": [{"locations": nodes}]}}).encode()
            )
        if operation == "GETFILESTATUS":
            raise requests.ConnectionError(request=requests.Request(method, url).prepare())
        if operation == "OPEN":
            left = [
                n for n in (1, 2) if f"10.0.0.{n}:9866" not in params.get("excludedatanodes", "").split(",")
            ]
            if not left:
                return answer(
                    403,
                    b'{"RemoteException": {"message": "No active nodes contain this block", "exception": "IOException"}}',
                )
            chosen = left[0]
        else:
            chosen = next(self.turns)
        if chosen in self.dead:
            raise requests.ConnectTimeout(
                request=requests.Request(method, f"http://datanode-{chosen}:9864/webhdfs/v1/a").prepare()
            )
        return answer(200, b'{"FileChecksum": "of datanode %d"}' % chosen)


@pytest.fixture
def connect(monkeypatch):
    """A client of the hook, connected to a NameNode whose DataNodes are dead."""

    def client(*dead):
        client = InsecureClient(NAMENODE, user="ann")
        monkeypatch.setattr(WebHDFSHook, "_get_client", lambda *_: client)
        client._session = Namenode(dead)
        return TimedWebHDFSHook()._get_client(), client._session

    return client


def read(client):
    with client.read("/a") as file:
        return file.read()


def test_read_that_is_sent_to_a_dead_datanode_is_answered_by_another(connect):
    client, namenode = connect(1)
    assert b"of datanode 2" in read(client)
    assert namenode.asked == ["OPEN", "GET_BLOCK_LOCATIONS", "OPEN"]


def test_checksum_is_asked_for_until_a_live_datanode_is_chosen(connect):
    client, _ = connect(1)
    assert client.checksum("/a") == "of datanode 2"


def test_read_is_asked_once_where_the_datanode_answers(connect):
    client, namenode = connect()
    assert b"of datanode 1" in read(client)
    assert namenode.asked == ["OPEN"]


def test_read_fails_when_every_datanode_with_the_block_is_dead(connect):
    client, namenode = connect(1, 2)
    with pytest.raises(HdfsError, match="No active nodes contain this block"):
        read(client)
    with pytest.raises(requests.ConnectionError):
        client.checksum("/a")
    assert namenode.asked.count("GETFILECHECKSUM") == 5


def test_namenode_that_does_not_answer_is_not_asked_again(connect):
    client, namenode = connect()
    with pytest.raises(requests.ConnectionError):
        client.status("/a")
    assert namenode.asked == ["GETFILESTATUS"]


@pytest.mark.parametrize("dead", [[], [1]])
def test_write_is_sent_to_a_datanode_once(connect, dead):
    client, namenode = connect(*dead)
    namenode.turns = itertools.repeat(1)
    with pytest.raises(requests.ConnectionError) if dead else nullcontext():
        client.write("/a", data=iter([b"a dump"]))
    assert namenode.asked == ["CREATE", None]


def test_webhdfs_is_asked_with_a_time_limit(connect):
    client, namenode = connect()
    read(client)
    assert namenode.timeouts == {(10, 60)}
