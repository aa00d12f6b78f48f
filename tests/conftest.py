"""What all rooms of tests share: no network, and one Spark session for the whole run (with pytest-xdist, for each worker)."""

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

# No test has a socket (pyproject.toml, --disable-socket), but for those in these folders, which may connect to this machine alone.
LOOPBACK_FOLDERS = {
    "spark_jobs",  # Spark's JVM and its Python talk over 127.0.0.1
    "jobs",
    "properties",
    "faults",
    "integration",  # all services of the platform listen there
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow connections to loopback where they are needed."""
    for item in items:
        if item.path.relative_to(REPOSITORY / "tests").parts[0] in LOOPBACK_FOLDERS:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """A `local[2]` session with Delta and Spark NLP, its warehouse in a temporary folder; started by the first test that needs it."""
    from pyspark.sql import SparkSession

    from deploy.embedded.install import (
        CLASS_ARCHIVE,
        class_archive_is_current,
        find_java_home,
        spark_class_path,
    )
    from spark_jobs.session import JOB_SETTINGS

    if not any((REPOSITORY / ".jars/spark").glob("*.jar")):
        pytest.fail("no jars in .jars/spark: run `make install` first")
    java_home = find_java_home()
    # The machine may have no Java, or another one.
    os.environ["JAVA_HOME"] = str(java_home)
    # Workers import the jobs' modules, in the driver's Python.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    folder = tmp_path_factory.mktemp("spark")
    # A session of minutes repays the optimising compiler; concurrent garbage collection would take the processor from the other worker.
    java_options = ["-XX:+UseSerialGC", f"-Dderby.system.home={folder}", f"-Djava.io.tmpdir={folder}"]
    if class_archive_is_current(
        java_home
    ):  # as in deployment; a session of a few seconds spends most of its time on loading classes
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
        # To generate and compile Java for some rows takes longer than to interpret the expressions. The platform's tests run the jobs as they are.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    # It tells of each connection it closes when Python ends, below pytest's summary.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    yield session
    session.stop()
