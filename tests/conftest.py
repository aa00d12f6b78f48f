"""Shared by all tests: no network, and one Spark session per process."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REPOSITORY = Path(__file__).parent.parent

# pyproject.toml disables sockets (--disable-socket). Tests in these folders may connect to 127.0.0.1.
LOOPBACK_FOLDERS = {
    "spark_jobs",  # connections between Spark's JVM and Python
    "jobs",
    "properties",
    "faults",
    "monitoring",  # health pages and webhooks of the tests
    "integration",  # all services of the embedded platform
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow connections to loopback in LOOPBACK_FOLDERS."""
    for item in items:
        if item.path.relative_to(REPOSITORY / "tests").parts[0] in LOOPBACK_FOLDERS:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """A `local[2]` session with Delta and Spark NLP, and a warehouse in a temporary folder."""
    from pyspark.sql import SparkSession

    from deploy.installation.class_archive import CLASS_ARCHIVE, class_archive_is_current, spark_class_path
    from deploy.installation.java import find_java_home
    from spark_jobs.session import JOB_SETTINGS

    if not any((REPOSITORY / ".jars/spark").glob("*.jar")):
        pytest.fail("no jars in .jars/spark: run `make install` first")
    java_home = find_java_home()
    # The machine may have no Java, or another version.
    os.environ["JAVA_HOME"] = str(java_home)
    # Python workers import the jobs' modules, and run the driver's Python.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    folder = tmp_path_factory.mktemp("spark")
    # No concurrent garbage collection: the other test process needs the second core.
    java_options = ["-XX:+UseSerialGC", f"-Dderby.system.home={folder}", f"-Djava.io.tmpdir={folder}"]
    if class_archive_is_current(java_home):  # as in deployment; the start mostly loads classes
        java_options += [f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", "-Xlog:cds*=off"]
    builder = SparkSession.builder.appName("tests").master("local[2]")
    settings = JOB_SETTINGS | {
        "spark.driver.extraClassPath": spark_class_path(),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": " ".join(java_options),
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        # For a few rows, interpretation is faster than code generation. tests/integration runs jobs without
        # these two.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    # py4j logs each closed connection at exit, below pytest's summary.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    yield session
    session.stop()
