"""Where the embedded platform lives on this machine: folders, ports, credentials, and the environment of its services."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shlex
import socket
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.embedded.install import (
    CLASS_ARCHIVE,
    ENVIRONMENT,
    REPOSITORY,
    class_archive_is_current,
    find_java_home,
    site_packages,
    spark_class_path,
)

HOST = "127.0.0.1"
AIRFLOW_USER = "admin"
POSTGRES_USER = "vaxpulse"

# Setting VAXPULSE_<NAME>_PORT moves one; the choice is kept in var/ports.json for the next start.
DEFAULT_PORTS = {
    "airflow": 8080,
    "mlflow": 5000,
    "namenode": 9870,
    "namenode_rpc": 8020,
    "datanode": 9866,
    "datanode_http": 9864,
    "datanode_ipc": 9867,
    "postgres": 5433,  # not 5432, where the machine's own PostgreSQL would be
    "spark_history": 18080,
}
SMALL_HDFS_MB = 100  # dumps and tables of some 300,000 tweets
LONGEST_SOCKET_PATH = 90  # a Unix socket's path has 107 bytes, and supervisor appends a process id while it makes one


class SettingsError(Exception):
    """One line that says what is wrong and what to do about it."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two embedded platforms on one machine."""

    home: Path
    ports: dict[str, int]

    @classmethod
    def load(cls) -> Settings:
        """Read VAXPULSE_HOME and the ports: from the environment, else as at the last start, else the defaults."""
        home = Path(os.environ.get("VAXPULSE_HOME") or REPOSITORY / "var").absolute()
        if len(str(home / "run" / "supervisor.sock")) > LONGEST_SOCKET_PATH:
            raise SettingsError(f"the path {home} is too long for a Unix socket in it: set VAXPULSE_HOME to a shorter one")
        ports = DEFAULT_PORTS | saved_ports(home)
        for name in ports:
            variable = f"VAXPULSE_{name.upper()}_PORT"
            if value := os.environ.get(variable):
                if not (value.isdecimal() and 0 < int(value) < 65536):
                    raise SettingsError(f"{variable}={value} is no port: give a number from 1 to 65535")
                ports[name] = int(value)
        return cls(home, ports)

    def folder(self, *names: str) -> Path:
        """Return a folder below the home, made when it is not there."""
        path = self.home.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def url(self, name: str) -> str:
        """Return the address of a service that speaks HTTP."""
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def hdfs(self) -> str:
        """Return the URI of the file system, as Spark, Delta and the DAGs know it."""
        return f"hdfs://{HOST}:{self.ports['namenode_rpc']}"

    @cached_property
    def java_home(self) -> Path:
        """Return the JDK 17 that all services use."""
        return find_java_home()

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the generated keys that only services need; made once, readable by their owner alone."""
        path = self.home / "run" / "secrets.json"
        if not path.exists():
            self.folder("run")
            generated = {name: secrets.token_urlsafe(24) for name in ("airflow_password", "postgres_password", "airflow_secret_key")}
            generated["airflow_jwt_secret"] = secrets.token_hex(32)
            generated["airflow_fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_private(path, json.dumps(generated))
        loaded: dict[str, str] = json.loads(path.read_text())
        return loaded

    @cached_property
    def first_day(self) -> str:
        """Return the day of the first start: catch-up begins there."""
        path = self.home / "run" / "first-day"
        if not path.exists():
            self.folder("run")
            write_private(path, datetime.now(UTC).date().isoformat())
        return path.read_text()

    def save(self) -> None:
        """Save the ports for the next start, and the credentials that people and scripts log in with."""
        write_private(self.home / "ports.json", json.dumps(self.ports, indent=2))
        write_private(self.home / "credentials.json", json.dumps(self.credentials(), indent=2))

    def credentials(self) -> dict[str, Any]:
        """Return the content of var/credentials.json."""
        return {
            "airflow": {"url": self.url("airflow"), "user": AIRFLOW_USER, "password": self.secrets["airflow_password"]},
            "mlflow": {"url": self.url("mlflow")},
            "namenode": {"url": self.url("namenode"), "rpc": self.hdfs},
            "spark_history": {"url": self.url("spark_history")},
        }

    def database_uri(self, database: str) -> str:
        """Return the SQLAlchemy URI of a database; the driver is named, because the default changed with SQLAlchemy 2.1."""
        password = quote(self.secrets["postgres_password"], safe="")
        return f"postgresql+psycopg2://{POSTGRES_USER}:{password}@{HOST}:{self.ports['postgres']}/{database}"

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the services: deployment facts for DAGs, jobs and training, and Airflow's settings."""
        airflow = {
            "CORE__DAGS_FOLDER": REPOSITORY / "dags",
            "CORE__PLUGINS_FOLDER": REPOSITORY / "plugins",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            # A Spark job uses all cores by itself. More processes at once only wait; four leave room for short tasks beside it.
            "CORE__PARALLELISM": 4,
            "CORE__FERNET_KEY": self.secrets["airflow_fernet_key"],
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{AIRFLOW_USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": self.home / "run" / "airflow-passwords.json",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url('airflow')}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": self.database_uri("airflow"),
            "API__HOST": HOST,
            "API__PORT": self.ports["airflow"],
            "API__BASE_URL": self.url("airflow"),
            "API__WORKERS": 1,
            "API__SECRET_KEY": self.secrets["airflow_secret_key"],
            "API__INSTANCE_NAME": "vaxpulse",
            "API_AUTH__JWT_SECRET": self.secrets["airflow_jwt_secret"],
            "LOGGING__BASE_LOG_FOLDER": self.home / "logs" / "airflow",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,  # a task starts 0.7 s sooner than with the default of 1 s
            "DAG_PROCESSOR__PARSING_PROCESSES": 1,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 30,  # a changed or new DAG file is seen after half a minute, not after five
        }
        connections = {
            "SPARK_DEFAULT": {"conn_type": "spark", "host": "local[*]", "extra": {"deploy-mode": "client"}},
            "WEBHDFS_DEFAULT": {"conn_type": "webhdfs", "host": HOST, "port": self.ports["namenode"], "login": getpass.getuser()},
        }
        return {
            **os.environ,
            "PATH": f"{ENVIRONMENT / 'bin'}:{self.java_home / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "JAVA_HOME": str(self.java_home),
            "AIRFLOW_HOME": str(self.home / "airflow"),
            **{f"AIRFLOW__{name}": str(value) for name, value in airflow.items()},
            **{f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()},
            "VAXPULSE_HDFS": self.hdfs,
            "VAXPULSE_HOME": str(self.home),
            "VAXPULSE_LANDING": str(self.folder("landing")),
            "VAXPULSE_FIRST_DAY": self.first_day,
            "VAXPULSE_MLFLOW_URL": self.url("mlflow"),
            "VAXPULSE_HDFS_URL": f"{self.url('namenode')}/explorer.html#/vaxpulse",
            "VAXPULSE_SPARK_URL": self.url("spark_history"),
            "HADOOP_CONF_DIR": str(self.home / "conf" / "hadoop"),
            "SPARK_CONF_DIR": str(self.home / "conf" / "spark"),
            "SPARK_LOCAL_IP": HOST,  # driver, block manager and web pages listen here and nowhere else
            "SPARK_LOCAL_DIRS": str(self.folder("spark-local")),
            "PYSPARK_PYTHON": str(ENVIRONMENT / "bin" / "python"),
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_BACKEND_STORE_URI": self.database_uri("mlflow"),  # by the environment: arguments can be read by every user
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 0.4 GB of memory instead of 1.9; nothing here uses its jobs
            "GIT_PYTHON_REFRESH": "quiet",  # the machine may have no git
        }

    def write_configuration(self) -> None:
        """Write the files that Hadoop, Spark and Airflow read, from scratch: a port or a JDK may have changed."""
        for folder in ("run", "logs", "hdfs", "postgres", "mlflow", "airflow", "spark-events"):
            self.folder(folder)
        hadoop = self.folder("conf", "hadoop")
        (hadoop / "core-site.xml").write_text(
            hadoop_xml({"fs.defaultFS": self.hdfs, "hadoop.tmp.dir": self.folder("hdfs", "tmp")}),
        )
        (hadoop / "hdfs-site.xml").write_text(hadoop_xml(self.hdfs_site()))
        (hadoop / "log4j.properties").write_text(
            "log4j.rootLogger=INFO,console\n"
            "log4j.appender.console=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.console.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n\n"
        )
        spark = self.folder("conf", "spark")
        (spark / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in self.spark_defaults().items()))
        (spark / "spark-env.sh").write_text(self.spark_env())
        # A job's own lines, warnings and errors; Spark's hundred lines about its own start-up would bury them in a task's log.
        (spark / "log4j2.properties").write_text(
            "rootLogger.level = warn\n"
            "rootLogger.appenderRef.stderr.ref = stderr\n"
            "appender.stderr.type = Console\n"
            "appender.stderr.name = stderr\n"
            "appender.stderr.target = SYSTEM_ERR\n"
            "appender.stderr.layout.type = PatternLayout\n"
            "appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex\n"
            # Said on every start and never of use: Hadoop's native library is not shipped, and long plans are cut in the log.
            "logger.native.name = org.apache.hadoop.util.NativeCodeLoader\n"
            "logger.native.level = error\n"
            "logger.plans.name = org.apache.spark.sql.catalyst.util.SparkStringUtils\n"
            "logger.plans.level = error\n"
        )
        write_private(self.home / "run" / "airflow-passwords.json", json.dumps({AIRFLOW_USER: self.secrets["airflow_password"]}))
        self.save()

    def hdfs_site(self) -> dict[str, object]:
        """Return the settings of one NameNode and one DataNode on loopback."""
        return {
            "dfs.namenode.rpc-address": f"{HOST}:{self.ports['namenode_rpc']}",
            "dfs.namenode.http-address": f"{HOST}:{self.ports['namenode']}",
            "dfs.namenode.name.dir": self.folder("hdfs", "name"),
            "dfs.datanode.data.dir": self.folder("hdfs", "data"),
            "dfs.datanode.address": f"{HOST}:{self.ports['datanode']}",
            "dfs.datanode.http.address": f"{HOST}:{self.ports['datanode_http']}",
            "dfs.datanode.ipc.address": f"{HOST}:{self.ports['datanode_ipc']}",
            "dfs.datanode.hostname": HOST,
            "dfs.replication": 1,
            "dfs.namenode.safemode.extension": 0,  # the default of 30 s would delay every start
            "dfs.namenode.datanode.registration.ip-hostname-check": False,
        }

    def spark_defaults(self) -> dict[str, object]:
        """Return what Spark must know of this deployment; settings of one job are in its DAG or in the job."""
        return {
            # Not spark.jars: Java shares archived classes only from its class path, and each start would copy 56 MB.
            "spark.driver.extraClassPath": spark_class_path(),
            "spark.driver.defaultJavaOptions": " ".join(self.java_options()),
            "spark.hadoop.fs.defaultFS": self.hdfs,
            "spark.hadoop.dfs.replication": 1,  # a client's default of 3 wins over the server's
            "spark.driver.host": HOST,
            "spark.driver.bindAddress": HOST,
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file:{self.folder('spark-events')}",
        }

    def java_options(self) -> list[str]:
        """Return the JVM options of every Spark driver."""
        # Jars before the configuration's folder hold log4j2.properties of their own.
        options = [f'"-Dlog4j2.configurationFile={(self.home / "conf" / "spark" / "log4j2.properties").as_uri()}"']
        if class_archive_is_current(self.java_home):
            # An archive that no longer fits is passed over; that is not worth a line in each task's log.
            options += [f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}"', "-Xlog:cds*=off"]
        return options

    def spark_env(self) -> str:
        """Return the shell script that spark-submit reads before it starts a driver: it chooses Java's compiler by the size of the work.

        On 8,000 tweets the quick compiler alone saves a quarter to a half of a job's CPU time, on 840,000 it costs 29 % (docs/LOG.md).
        """
        return (
            f'if [ "$(du --summarize --block-size=M {shlex.quote(str(self.folder("hdfs", "data")))} | cut -dM -f1)" -lt {SMALL_HDFS_MB} ]; then\n'
            '  export SPARK_SUBMIT_OPTS="$SPARK_SUBMIT_OPTS -XX:TieredStopAtLevel=1"\n'
            "fi\n"
        )


def saved_ports(home: Path) -> dict[str, int]:
    """Return the ports of the last start, none before the first."""
    file = home / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return ports


def bypass_proxy_for_loopback(environment: MutableMapping[str, str]) -> None:
    """Add our own addresses to those that `environment` excepts from its proxies: our services are never behind one.

    Programs read NO_PROXY, no_proxy or both, and many prefer the second: both are set. A `*` excepts everything already.
    """
    given = {name: environment.get(name) or "" for name in ("NO_PROXY", "no_proxy")}
    for name, value in given.items():
        hosts = (value or given["NO_PROXY"] or given["no_proxy"]).split(",")
        excepted = [host.strip() for host in hosts if host.strip()]
        ours = [] if "*" in excepted else [HOST, "localhost"]
        environment[name] = ",".join(dict.fromkeys(excepted + ours))


def spark_classpath() -> str:
    """Return the class path of Spark's own daemons."""
    return str(site_packages() / "pyspark" / "jars" / "*")


def hadoop_xml(properties: dict[str, Any]) -> str:
    """Return a Hadoop configuration file's text."""
    lines = (
        f"  <property><name>{name}</name><value>{str(value).lower() if isinstance(value, bool) else value}</value></property>"
        for name, value in properties.items()
    )
    return "\n".join(["<configuration>", *lines, "</configuration>", ""])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. After a crash or a power loss it has its old content or the new one, whole."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:  # made with mode 600
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else a power loss may keep the renaming and lose the content
    Path(file.name).replace(path)


def is_free(port: int) -> bool:
    """Tell whether a service could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger after a stop do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
