"""Each deployment sets every environment variable and Connection that the code and deploy/conf read.

Embedded, all processes have the same environment. In docker-compose.yaml each service has its own.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import settings as settings_module
from deploy.embedded.settings import DEFAULT_PORTS, Settings

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "docker-compose.yaml"
PACKAGES = (
    *("contracts", "onnx_model", "reporting", "monitoring", "dags", "plugins"),
    *("loading", "retention", "spark_jobs", "training"),
)
NAME = re.compile(r"(AIRFLOW|HADOOP|HF|MLFLOW|PYSPARK|SPARK|VAXPULSE)_[A-Z0-9_]+")

PAGES = {"VAXPULSE_MLFLOW_URL", "VAXPULSE_HDFS_URL", "VAXPULSE_SPARK_URL"}
TASKS = {
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    "VAXPULSE_HDFS",
    "VAXPULSE_START_DATE",
    "VAXPULSE_LANDING",
    "VAXPULSE_WATCHED",
}
DRIVERS = {
    "HADOOP_CONF_DIR",
    "SPARK_CONF_DIR",
    "VAXPULSE_HDFS",
    "VAXPULSE_HDFS_REPLICATION",
    "VAXPULSE_SPARK_EVENTS",
}
TRACKING = {"MLFLOW_TRACKING_URI"}
STUDIES = {"VAXPULSE_STUDIES"}
WEBHDFS = {"VAXPULSE_DATANODE_HEADER"}
REVIEWS = {"VAXPULSE_SELF_REVIEW"}
CONNECTIONS = {"AIRFLOW_CONN_SPARK_DEFAULT", "AIRFLOW_CONN_WEBHDFS_DEFAULT"}
HDFS = {"HADOOP_CONF_DIR", "VAXPULSE_HDFS", "VAXPULSE_HDFS_BIND_HOST", "VAXPULSE_HDFS_REPLICATION"}
HISTORY = {"SPARK_CONF_DIR", "VAXPULSE_SPARK_EVENTS", "VAXPULSE_SPARK_HISTORY_PORT"}
# Variables that a deployment does not have to set, with the reason.
NOT_REQUIRED = {
    # optional
    "VAXPULSE_DUMP_HOSTS",
    "CUDA_VISIBLE_DEVICES",
    # of `make weights`, which no deployment runs
    "SSL_CERT_FILE",
    "VAXPULSE_MAVEN_REPOSITORY",
    # in an image; a checkout has git
    "VAXPULSE_COMMIT",
    # only if MLflow requires a login
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    # Airflow sets these for each task
    "AIRFLOW_CTX_DAG_ID",
    "AIRFLOW_CTX_DAG_RUN_ID",
    # the code has a default
    "HF_HUB_ETAG_TIMEOUT",
    "VAXPULSE_STATE",
    "VAXPULSE_WEIGHTS",
    "VAXPULSE_HISTORY_DAYS",
    "SPARK_LOCAL_DIRS",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
    "PYSPARK_PYTHON",
    "TOKENIZERS_PARALLELISM",
    # torchrun sets them for each of its processes
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    # every process has it
    "PATH",
    # of spark-submit; spark-env.sh appends to it
    "SPARK_SUBMIT_OPTS",
    # dags/vaxpulse_dags/tasks.py sets it for a job
    "VAXPULSE_JOB_NICE",
    # in messages only
    "HF_HOME",
    "HF_TOKEN",
    # deploy/conf has a default
    "VAXPULSE_DATANODE_PORT",
    "VAXPULSE_DATANODE_HTTP_PORT",
    "VAXPULSE_DATANODE_IPC_PORT",
    "VAXPULSE_NAMENODE_PORT",
    # docker/hdfs.sh sets them for the DataNode
    "VAXPULSE_DATANODE_HOSTNAME",
    "VAXPULSE_HDFS_STORAGE",
}
SET_BY_STACK = {
    "airflow-apiserver": PAGES | WEBHDFS | {"AIRFLOW_CONN_WEBHDFS_DEFAULT"},
    "airflow-dag-processor": TASKS,
    "airflow-triggerer": WEBHDFS | {"AIRFLOW_CONN_WEBHDFS_DEFAULT"},
    "airflow-worker": TASKS | DRIVERS | TRACKING | CONNECTIONS | WEBHDFS | REVIEWS,
    "airflow-worker-gpu": TASKS | TRACKING | STUDIES,
    "namenode": HDFS,
    "datanode": HDFS | WEBHDFS,
    "spark-worker": {"HADOOP_CONF_DIR", "VAXPULSE_HDFS", "VAXPULSE_HDFS_REPLICATION"},
    "spark-history": HISTORY,
}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in ("os.environ", "environ")


def find_variables(tree: ast.Module) -> Iterator[str]:
    """Yield literal keys of os.environ, and every string that looks like a variable's name."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and is_environ(node.value)
            and isinstance(node.slice, ast.Constant)
        ):
            yield str(node.slice.value)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func
            looks_up = isinstance(function, ast.Attribute) and is_environ(function.value)
            if looks_up or ast.unparse(function) in ("os.getenv", "getenv"):
                yield str(node.args[0].value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (match.group() for match in NAME.finditer(node.value))


def find_connections(tree: ast.Module) -> Iterator[str]:
    """Yield the values and defaults of arguments whose name ends in conn_id."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.keyword)
            and (node.arg or "").endswith("conn_id")
            and isinstance(node.value, ast.Constant)
        ):
            yield str(node.value.value)
        elif isinstance(node, ast.arguments):
            named = [*node.posonlyargs, *node.args]
            defaults = [
                *zip(named[len(named) - len(node.defaults) :], node.defaults, strict=True),
                *zip(node.kwonlyargs, node.kw_defaults, strict=True),
            ]
            for argument, default in defaults:
                if argument.arg.endswith("conn_id") and isinstance(default, ast.Constant):
                    yield str(default.value)


def find_variables_in_configuration() -> set[str]:
    files = [
        path
        for path in (REPOSITORY / "deploy" / "conf").rglob("*")
        if path.suffix in (".xml", ".conf", ".sh")
    ]
    found = re.findall(
        r"\$\{env[.:]([A-Z0-9_]+)|\$([A-Z][A-Z0-9_]+)", "\n".join(file.read_text() for file in files)
    )
    return {name for names in found for name in names if name} - {"NAME"}  # in a comment


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """The environment of the embedded platform, without the variables of this machine."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    settings = Settings(tmp_path, DEFAULT_PORTS)
    monkeypatch.setitem(settings.__dict__, "java_home", tmp_path)
    return settings.environment()


def test_every_variable_is_listed_here():
    read = {name for _, tree in trees() for name in find_variables(tree)} | find_variables_in_configuration()
    known = PAGES | TASKS | DRIVERS | TRACKING | STUDIES | HDFS | HISTORY | WEBHDFS | REVIEWS | NOT_REQUIRED
    # Spark and Hadoop read these two.
    assert read | {"HADOOP_CONF_DIR", "SPARK_CONF_DIR"} == known


def test_every_connection_is_listed_here():
    # The Spark operators use the provider's default.
    used = {name for _, tree in trees() for name in find_connections(tree)} | {"spark_default"}
    assert {f"AIRFLOW_CONN_{name.upper()}" for name in used} == CONNECTIONS


# It stores there which alerts were sent. Everything else is configured by the environment.
STORES_STATE = REPOSITORY / "plugins" / "vaxpulse_airflow" / "alerts.py"


def test_no_dag_uses_airflow_variables():
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"\{\{[^}]*\b(var|conn)\.", node.value), path
            reads = isinstance(node, ast.Attribute) and ast.unparse(node) == "Variable.get"
            assert not reads or path == STORES_STATE, path


def test_embedded_platform_sets_all_variables(embedded):
    assert embedded.keys() >= PAGES | TASKS | DRIVERS | TRACKING | STUDIES | CONNECTIONS | HDFS | HISTORY
    assert {"VAXPULSE_DATANODE_HOSTNAME", "VAXPULSE_HDFS_STORAGE"} <= embedded.keys()
    assert {settings_module.port_variable(name) for name in DEFAULT_PORTS} <= embedded.keys()
    assert all(
        embedded[name]
        for name in PAGES
        | TASKS
        | DRIVERS
        | TRACKING
        | STUDIES
        | CONNECTIONS
        | HDFS
        | HISTORY
        | WEBHDFS
        | REVIEWS
    )


@pytest.mark.parametrize("service", SET_BY_STACK)
def test_stack_sets_the_variables_of_each_service(stack, service):
    assert {name for name in SET_BY_STACK[service] if not stack[service].get(name)} == set()
