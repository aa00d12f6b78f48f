"""Health of the platform's services and disks, as seen over HTTP. Every deployment uses these checks."""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

TIMEOUT_SECONDS = 5
NO_ANSWER = "does not respond"
MAX_DISK_USE = 0.85
AIRFLOW_PARTS = {
    "metadatabase": "database",
    "scheduler": "scheduler",
    "dag_processor": "DAG processor",
    "triggerer": "triggerer",
}


@dataclass(frozen=True)
class Watched:
    """Addresses that the machine which runs the checks can reach.

    Attributes:
        airflow: URL of Airflow's API server.
        namenode: URL of the NameNode's pages.
        pages: a page of each other service that answers with status 200, by the name of the service.
        disks: a path on each local disk.
    """

    airflow: str
    namenode: str
    pages: Mapping[str, str] = field(default_factory=dict)
    disks: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> "Watched":
        """Read the value of the environment variable VAXPULSE_WATCHED."""
        values = json.loads(text)
        return cls(values["airflow"], values["namenode"], values["pages"], tuple(values["disks"]))


def find_service_problems(watched: Watched) -> dict[str, str]:
    """Return the problem of each service that is not healthy, by the name of the service."""
    parts = {
        f"Airflow {name}": airflow_problem(watched.airflow, part) for part, name in AIRFLOW_PARTS.items()
    }
    if set(parts.values()) == {NO_ANSWER}:
        parts = {"Airflow": NO_ANSWER}
    found = parts | {"HDFS": namenode_problem(watched.namenode)}
    found |= {name: page_problem(url) for name, url in watched.pages.items()}
    return {name: problem for name, problem in found.items() if problem}


def airflow_problem(url: str, part: str) -> str:
    """Return the problem of an Airflow component according to Airflow's health page, or ''."""
    health = fetch_json(f"{url}/api/v2/monitor/health")
    if health is None:
        return NO_ANSWER
    status = (health.get(part) or {}).get("status")
    return "" if status == "healthy" else f"is {status}"


def namenode_problem(url: str) -> str:
    """Return why the file system is not writable, or ''. It needs a live DataNode and no safe mode."""
    state = read_bean(url, "Hadoop:service=NameNode,name=FSNamesystemState")
    if state.get("FSState") != "Operational":
        return f"is in state {state.get('FSState', 'unknown')}"
    return "" if state.get("NumLiveDataNodes") else "has no live DataNode"


def dead_datanodes(url: str) -> str:
    """Return how many DataNodes the NameNode has lost, or ''.

    Raises:
        ConnectionError: the NameNode does not respond.
    """
    dead = read_namenode(url, "FSNamesystemState").get("NumDeadDataNodes", 0)
    return f"lost: {dead}" if dead else ""


def read_namenode(url: str, name: str) -> dict[str, Any]:
    """Return a JMX bean of the NameNode.

    Raises:
        ConnectionError: the NameNode does not respond.
    """
    bean = read_bean(url, f"Hadoop:service=NameNode,name={name}")
    if not bean:
        raise ConnectionError(f"the NameNode {NO_ANSWER}")
    return bean


def page_problem(url: str) -> str:
    """Return why a page does not respond with status 200, or ''."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 (configured)
            return "" if response.status == 200 else f"responds with {response.status}"
    except OSError:
        return NO_ANSWER


def read_bean(url: str, query: str, headers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return the first JMX bean of a Hadoop daemon that matches a query, empty if it does not respond."""
    beans = (fetch_json(f"{url}/jmx?qry={query}", headers) or {}).get("beans") or [{}]
    return dict(beans[0])


def fetch_json(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return the decoded JSON response of a URL, or None."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (configured)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except (OSError, ValueError):
        return None


def find_full_disks(watched: Watched) -> Iterator[tuple[str, float]]:
    """Yield name and used share of each disk above MAX_DISK_USE: local disks and those of DataNodes.

    Raises:
        ConnectionError: the NameNode does not respond.
    """
    for path in watched.disks:
        usage = shutil.disk_usage(path)
        # As `df`: blocks that are reserved for root are neither used nor free.
        share = usage.used / (usage.used + usage.free)
        if share > MAX_DISK_USE:
            yield path, share
    info = read_namenode(watched.namenode, "NameNodeInfo")
    for name, node in json.loads(info.get("LiveNodes") or "{}").items():
        share = 1 - node["remaining"] / node["capacity"] if node["capacity"] else 0
        if share > MAX_DISK_USE:
            yield f"DataNode {name}", share
