"""Folders, ports, credentials and environment of the embedded platform."""

import json
import os
import pwd
import secrets
import shutil
from base64 import urlsafe_b64encode
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contracts import hdfs_paths
from deploy.common.checkout import CONFIGURATION, ENVIRONMENT, REPOSITORY
from deploy.common.deployment import ADMIN, WATCHER
from deploy.common.errors import CommandError
from deploy.common.files import write_private
from deploy.installation.class_archive import CLASS_ARCHIVE, class_archive_is_current, spark_class_path
from deploy.installation.java import find_java_home
from deploy.installation.web_applications import copy_web_applications
from monitoring.health import Watched

HOST = "127.0.0.1"
POSTGRES_USER = "vaxpulse"
AIRFLOW_USERS = {ADMIN: "airflow_password", WATCHER: "airflow_watch_password"}  # and their secrets

# VAXPULSE_<NAME>_PORT overrides a port. var/ports.json saves it for the next start.
DEFAULT_PORTS = {
    "airflow": 8080,
    "mlflow": 5000,
    "namenode": 9870,
    "namenode_rpc": 8020,
    "datanode": 9866,
    "datanode_http": 9864,
    "datanode_ipc": 9867,
    "postgres": 5433,  # not 5432, the default port of another PostgreSQL on this machine
    "spark_history": 18080,
}
# A Unix socket's path has at most 107 bytes, and supervisor appends a process id temporarily.
MAX_SOCKET_PATH = 90


@dataclass(frozen=True)
class Settings:
    """Settings that differ between two embedded platforms on one machine."""

    home: Path
    ports: dict[str, int]

    @classmethod
    def load(cls) -> "Settings":
        """Read VAXPULSE_HOME and the ports. Precedence: environment, last start, defaults."""
        # Without symbolic links: the kernel reports the folders of processes without them.
        home = Path(os.environ.get("VAXPULSE_HOME") or REPOSITORY / "var").resolve()
        if len(os.fsencode(home / "run" / "supervisor.sock")) > MAX_SOCKET_PATH:
            raise CommandError(
                f"the path {home} is too long for a Unix socket: set VAXPULSE_HOME to a shorter path"
            )
        ports = DEFAULT_PORTS | saved_ports(home)
        for name in ports:
            variable = port_variable(name)
            if value := os.environ.get(variable):
                if not (value.isdecimal() and 0 < int(value) < 65536):
                    raise CommandError(f"{variable}={value} is not a port: use a number from 1 to 65535")
                ports[name] = int(value)
        return cls(home, ports)

    def folder(self, *names: str) -> Path:
        """Return a folder below the home. Create it if necessary."""
        path = self.home.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def url(self, name: str) -> str:
        """Return the URL of a service."""
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def hdfs(self) -> str:
        """Return the URI of the file system for Spark, Delta and the DAGs."""
        return f"hdfs://{HOST}:{self.ports['namenode_rpc']}"

    @property
    def explorer_url(self) -> str:
        """Return the NameNode's page that shows the platform's folder."""
        return f"{self.url('namenode')}/explorer.html#{hdfs_paths.ROOT}"

    @property
    def watched(self) -> Watched:
        """Return the services and disks that `make status` and the DAG watch_platform check."""
        pages = {
            "MLflow": f"{self.url('mlflow')}/health",
            "Spark History Server": f"{self.url('spark_history')}/api/v1/version",
        }
        return Watched(self.url("airflow"), self.url("namenode"), pages, (str(self.home),))

    @cached_property
    def java_home(self) -> Path:
        """Return the JDK of all services."""
        return find_java_home()

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Return the generated secrets. The first call writes the missing ones to a private file."""
        path = self.folder("run") / "secrets.json"
        names = ("airflow_password", "airflow_watch_password", "postgres_password", "airflow_secret_key")
        generated = {name: secrets.token_urlsafe(24) for name in names}
        generated["airflow_jwt_secret"] = secrets.token_hex(32)
        generated["airflow_fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        generated["datanode_header"] = f"X-{secrets.token_hex(16)}"  # hex digits are valid in header names
        existing: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if generated.keys() - existing.keys():
            write_private(path, json.dumps(generated | existing))
        return generated | existing

    @cached_property
    def start_date(self) -> str:
        """Return the time of the first start. Airflow creates no scheduled runs for earlier times."""
        path = self.home / "run" / "start-date"
        if not path.exists():
            self.folder("run")
            write_private(path, datetime.now(UTC).isoformat(timespec="seconds"))
        return path.read_text()

    def save(self) -> None:
        """Save the ports for the next start, and the credentials for users and scripts."""
        write_private(self.home / "ports.json", json.dumps(self.ports, indent=2))
        write_private(self.home / "credentials.json", json.dumps(self.credentials(), indent=2))

    def credentials(self) -> dict[str, Any]:
        """Return the content of var/credentials.json."""
        return {
            "airflow": {
                "url": self.url("airflow"),
                "user": ADMIN,
                "password": self.secrets["airflow_password"],
            },
            "mlflow": {"url": self.url("mlflow")},
            "namenode": {"url": self.url("namenode"), "rpc": self.hdfs},
            "spark_history": {"url": self.url("spark_history")},
        }

    def database_uri(self, database: str) -> str:
        """Return a database's SQLAlchemy URI with the driver: the default changed with SQLAlchemy 2.1."""
        password = quote(self.secrets["postgres_password"], safe="")
        return f"postgresql+psycopg2://{POSTGRES_USER}:{password}@{HOST}:{self.ports['postgres']}/{database}"

    def environment(self) -> dict[str, str]:
        """Return the environment of all services, jobs and trainings."""
        airflow = {
            "CORE__DAGS_FOLDER": REPOSITORY / "dags",
            "CORE__PLUGINS_FOLDER": REPOSITORY / "plugins",
            "CORE__EXECUTOR": "LocalExecutor",
            # A Spark job uses all cores. Four processes allow short tasks at the same time.
            "CORE__PARALLELISM": 4,
            "CORE__FERNET_KEY": self.secrets["airflow_fernet_key"],
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin,{WATCHER}:viewer",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": self.home / "run" / "airflow-passwords.json",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url('airflow')}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": self.database_uri("airflow"),
            "API__HOST": HOST,
            "API__PORT": self.ports["airflow"],
            "API__BASE_URL": self.url("airflow"),
            "API__WORKERS": 1,
            "API__SECRET_KEY": self.secrets["airflow_secret_key"],
            "API_AUTH__JWT_SECRET": self.secrets["airflow_jwt_secret"],
            "LOGGING__BASE_LOG_FOLDER": self.home / "logs" / "airflow",
        }
        # HDFS's superuser is the user of its processes, whatever LOGNAME and USER are.
        user = pwd.getpwuid(os.geteuid()).pw_name
        connections = {
            "SPARK_DEFAULT": {"conn_type": "spark", "host": "local[*]", "extra": {"deploy-mode": "client"}},
            "WEBHDFS_DEFAULT": {
                "conn_type": "webhdfs",
                "host": HOST,
                "port": self.ports["namenode"],
                "login": user,
            },
            "VAXPULSE_API": {
                "conn_type": "generic",
                "login": WATCHER,
                "password": self.secrets[AIRFLOW_USERS[WATCHER]],
            },
        }
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {
            **os.environ,
            **common_environment(),
            "PATH": f"{ENVIRONMENT / 'bin'}:{self.java_home / 'bin'}:{path}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "JAVA_HOME": str(self.java_home),
            "AIRFLOW_HOME": str(self.home / "airflow"),
            **{f"AIRFLOW__{name}": str(value) for name, value in airflow.items()},
            **{f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()},
            **{port_variable(name): str(port) for name, port in self.ports.items()},
            "VAXPULSE_HOME": str(self.home),
            "VAXPULSE_HDFS": self.hdfs,
            "VAXPULSE_HDFS_BIND_HOST": HOST,
            "VAXPULSE_HDFS_REPLICATION": "1",
            "VAXPULSE_HDFS_STORAGE": str(self.folder("hdfs")),
            "VAXPULSE_DATANODE_HOSTNAME": HOST,
            "VAXPULSE_DATANODE_HEADER": self.secrets["datanode_header"],
            "VAXPULSE_LANDING": str(self.folder("landing")),
            "VAXPULSE_START_DATE": self.start_date,
            "VAXPULSE_WATCHED": json.dumps(asdict(self.watched)),
            "VAXPULSE_SELF_REVIEW": "allowed",  # the administrator is the only user
            "VAXPULSE_MLFLOW_URL": self.url("mlflow"),
            "VAXPULSE_HDFS_URL": self.explorer_url,
            "VAXPULSE_SPARK_URL": self.url("spark_history"),
            "VAXPULSE_SPARK_EVENTS": self.folder("spark-events").as_uri(),
            "HADOOP_CONF_DIR": str(CONFIGURATION / "hadoop"),
            "HADOOP_USER_NAME": user,
            "SPARK_CONF_DIR": str(self.home / "conf" / "spark"),
            # Driver, block manager and web pages of a job listen on loopback only.
            "SPARK_LOCAL_IP": HOST,
            "SPARK_LOCAL_HOSTNAME": HOST,
            "SPARK_LOCAL_DIRS": str(self.folder("spark-local")),
            "PYSPARK_PYTHON": str(ENVIRONMENT / "bin" / "python"),
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "VAXPULSE_STUDIES": self.database_uri("studies"),  # of tune_classifier
            "VAXPULSE_STATE": str(self.home / "training-state"),
            # In the environment, because every user can read arguments.
            "MLFLOW_BACKEND_STORE_URI": self.database_uri("mlflow"),
        }

    def write_configuration(self) -> None:
        """Write the configuration files that depend on ports, secrets or the JDK."""
        for folder in ("run", "logs", "hdfs", "postgres", "mlflow", "airflow", "spark-events"):
            self.folder(folder)
        copy_web_applications(self.folder("conf", "namenode"))
        spark = self.folder("conf", "spark")
        shutil.copy(CONFIGURATION / "spark" / "spark-env.sh", spark)
        defaults = (CONFIGURATION / "spark" / "spark-defaults.conf").read_text()
        (spark / "spark-defaults.conf").write_text(
            defaults + "".join(f"{key} {value}\n" for key, value in self.driver_settings().items())
        )
        passwords = {user: self.secrets[name] for user, name in AIRFLOW_USERS.items()}
        write_private(self.home / "run" / "airflow-passwords.json", json.dumps(passwords))
        self.save()

    def driver_settings(self) -> dict[str, str]:
        """Return settings of Spark drivers for spark-defaults.conf. They contain paths of this machine."""
        return {
            # Not spark.jars: Java uses archived classes only from its class path, and each start would copy
            # 56 MB.
            "spark.driver.extraClassPath": spark_class_path(),
            "spark.driver.defaultJavaOptions": " ".join(self.java_options()),
            # Not VAXPULSE_SPARK_EVENTS: a driver reads it as a URI, and the History Server reads a path.
            "spark.history.fs.logDirectory": f"file:{self.folder('spark-events')}",
        }

    def java_options(self) -> list[str]:
        """Return the JVM options of every Spark driver."""
        # Without it, log4j2.properties in a jar would be used: jars precede the configuration folder.
        options = [f'"-Dlog4j2.configurationFile={(CONFIGURATION / "spark" / "log4j2.properties").as_uri()}"']
        if class_archive_is_current(self.java_home):
            # Java ignores an archive that does not fit. Do not write a warning to each task's log.
            options += [f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}"', "-Xlog:cds*=off"]
        return options


def port_variable(name: str) -> str:
    """Return the environment variable that overrides a port.

    >>> port_variable("namenode_rpc")
    'VAXPULSE_NAMENODE_RPC_PORT'
    """
    return f"VAXPULSE_{name.upper()}_PORT"


def common_environment() -> dict[str, str]:
    """Return the variables that all deployments share: the lines `NAME=value` of deploy/conf/*.env."""
    lines = [line for file in sorted(CONFIGURATION.glob("*.env")) for line in file.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def saved_ports(home: Path) -> dict[str, int]:
    """Return the ports of the last start, empty before the first start."""
    file = home / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return ports


def bypass_proxy_for_loopback(environment: MutableMapping[str, str]) -> None:
    """Add the loopback addresses to NO_PROXY and no_proxy of an environment.

    Programs read either variable, so both are set. `*` includes all addresses already.
    """
    given = {name: environment.get(name) or "" for name in ("NO_PROXY", "no_proxy")}
    for name, value in given.items():
        hosts = (value or given["NO_PROXY"] or given["no_proxy"]).split(",")
        hosts = [host.strip() for host in hosts if host.strip()]
        loopback = [] if "*" in hosts else [HOST, "localhost"]
        environment[name] = ",".join(dict.fromkeys(hosts + loopback))
