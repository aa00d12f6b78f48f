"""A temporary HDFS for benchmarks: one NameNode and one DataNode on free ports."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from hdfs import InsecureClient

from deploy.embedded.services import SERVICES
from deploy.embedded.settings import DEFAULT_PORTS, Settings

START_SECONDS = 60


def free_ports(count: int) -> list[int]:
    """Return ports that are not in use now."""
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in sockets]


@contextmanager
def throwaway_hdfs(folder: Path) -> Iterator[tuple[str, InsecureClient]]:
    """Start an HDFS whose data is in `folder`. Yield its URI and a WebHDFS client."""
    settings = Settings(folder, dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True)))
    settings.write_configuration()
    namenode, datanode = (SERVICES[name].command(settings) for name in ("namenode", "datanode"))
    environment = settings.environment()
    subprocess.run(
        [*namenode, "-format", "-nonInteractive"], check=True, capture_output=True, env=environment
    )
    # Clients need the same variables: the folder of the Hadoop configuration, and NO_PROXY for loopback.
    with patch.dict(os.environ, environment), ExitStack() as daemons:
        for command in (namenode, datanode):
            daemon = daemons.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            daemons.callback(daemon.kill)
        deadline = time.monotonic() + START_SECONDS
        while problem := SERVICES["namenode"].health_problem(settings):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the NameNode {problem} after {START_SECONDS} s")
            time.sleep(0.5)
        yield (
            settings.hdfs,
            InsecureClient(settings.url("namenode"), user=os.environ.get("HADOOP_USER_NAME", "root")),
        )
