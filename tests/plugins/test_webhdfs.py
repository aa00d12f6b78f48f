"""WebHDFS reads go on when a DataNode is dead, and no request waits for ever."""

import pytest
import requests
from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook
from hdfs import InsecureClient
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

NAMENODE = "http://namenode:9870"


def answer(status, content=b""):
    response = requests.Response()
    response.status_code, response._content = status, content
    return response


class Namenode:
    """Two DataNodes hold each block. The NameNode sends a reader to the first that is not excluded; the dead ones take no connection."""

    def __init__(self, dead):
        self.dead = dead
        self.asked = []

    def request(self, method, url, params=None, **arguments):
        operation = (params or {}).get("op")
        self.asked.append((method, operation, arguments.get("timeout")))
        if operation == "CREATE":
            redirect = answer(307)
            redirect.headers["location"] = "http://datanode-1:9864/webhdfs/v1/a"
            return redirect
        if operation == "GET_BLOCK_LOCATIONS":
            nodes = ",".join(f'{{"hostName": "datanode-{n}", "infoPort": 9864, "ipAddr": "10.0.0.{n}", "xferPort": 9866}}' for n in (1, 2))
            return answer(200, f'{{"LocatedBlocks": {{"locatedBlocks": [{{"locations": [{nodes}]}}]}}}}'.encode())
        if operation == "GETFILESTATUS":
            raise requests.ConnectionError(request=requests.Request(method, url).prepare())
        excluded = (params or {}).get("excludedatanodes", "").split(",")
        left = [n for n in (1, 2) if f"10.0.0.{n}:9866" not in excluded]
        if not left:
            return answer(403, b'{"RemoteException": {"message": "No active nodes contain this block", "exception": "IOException"}}')
        if left[0] in self.dead:
            raise requests.ConnectTimeout(request=requests.Request(method, f"http://datanode-{left[0]}:9864/webhdfs/v1/a").prepare())
        return answer(200, b'{"FileChecksum": "of datanode %d"}' % left[0])


@pytest.fixture
def connect(monkeypatch):
    """A client of the hook, connected to a NameNode whose DataNodes are dead."""

    def client(*dead):
        client = InsecureClient(NAMENODE, user="ann")
        monkeypatch.setattr(WebHDFSHook, "_get_client", lambda *_: client)
        client._session = Namenode(dead)
        return TimedWebHDFSHook()._get_client(), client._session

    return client


def test_read_that_is_sent_to_a_dead_datanode_is_answered_by_another(connect):
    client, namenode = connect(1)
    assert client.checksum("/a") == "of datanode 2"
    assert [operation for _, operation, _ in namenode.asked] == ["GETFILECHECKSUM", "GET_BLOCK_LOCATIONS", "GETFILECHECKSUM"]


def test_read_is_asked_once_where_the_datanode_answers(connect):
    client, namenode = connect()
    assert client.checksum("/a") == "of datanode 1"
    assert len(namenode.asked) == 1


def test_read_fails_when_every_datanode_with_the_block_is_dead(connect):
    client, namenode = connect(1, 2)
    with pytest.raises(Exception, match="No active nodes contain this block"):
        client.checksum("/a")
    assert len(namenode.asked) == 5


def test_namenode_that_does_not_answer_is_not_asked_again(connect):
    client, namenode = connect()
    with pytest.raises(requests.ConnectionError):
        client.status("/a")
    assert len(namenode.asked) == 1


def test_write_is_sent_to_the_datanode_once(connect):
    client, namenode = connect()
    client.write("/a", data=iter([b"a dump"]))
    assert [operation for _, operation, _ in namenode.asked] == ["CREATE", None]
    client, namenode = connect(1)
    with pytest.raises(requests.ConnectionError):
        client.write("/a", data=iter([b"half of it"]))
    assert [operation for _, operation, _ in namenode.asked] == ["CREATE", None]


def test_webhdfs_is_asked_with_a_time_limit(connect):
    client, namenode = connect()
    client.checksum("/a")
    assert namenode.asked[0][2] == (10, 60)
