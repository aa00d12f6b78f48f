"""Contenders of benchmarks/clean.py. Each one reads `tweets_raw` in a folder and returns measurements.

`read_write` only copies the table, to measure reading and writing alone. The others clean it.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import psutil
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.clean_rivals import clean_with_pandas, clean_with_polars
from benchmarks.measurement import REPOSITORY, Clock, run_in_process
from deploy.installation.class_archive import CLASS_ARCHIVE, class_archive_is_current, spark_class_path
from deploy.installation.java import find_java_home
from spark_jobs.clean_tweets import SETTINGS, clean_tweets
from spark_jobs.cleaning.stems import stem
from spark_jobs.session import open_session

DRIVER_MEMORY = "3g"  # as in dags/vaxpulse_dags/tasks.py
SAMPLE = 20_000  # tweets that pandas cleans


@contextmanager
def spark_session() -> Iterator[SparkSession]:
    spark = open_session("benchmark")
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    yield spark
    spark.stop()


def peak_memory_mb() -> float:
    """Return the largest peak memory (VmHWM) of one Python worker in MiB."""
    workers = [process for process in psutil.Process().children(recursive=True) if "python" in process.name()]
    statuses = [Path(f"/proc/{worker.pid}/status").read_text() for worker in workers]
    return max(
        (
            int(line.split()[1]) / 1024
            for status in statuses
            for line in status.splitlines()
            if line.startswith("VmHWM")
        ),
        default=0,
    )


def run_clean_tweets(folder: Path) -> dict[str, float]:
    with spark_session() as spark:
        clock = Clock()
        clean_tweets(spark, str(folder / "tweets_raw"), str(folder / "tweets_clean"))
        result = clock.result(0) | {"worker_mb": peak_memory_mb()}
        # Write the stems for the other contenders, after the measurement.
        cleaned = spark.read.format("delta").load(str(folder / "tweets_clean"))
        words = cleaned.select(F.explode(F.split(F.lower("clean_text"), " ")).alias("word")).distinct()
        words.select("word", stem(F.col("word")).alias("stem")).write.mode("overwrite").parquet(
            str(folder / "stems.parquet")
        )
        return result | {"rows": cleaned.count()}


def run_read_write(folder: Path) -> dict[str, float]:
    with spark_session() as spark:
        clock = Clock()
        spark.read.format("delta").load(str(folder / "tweets_raw")).write.format("delta").save(
            str(folder / "copy")
        )
        return clock.result(0) | {"rows": spark.read.format("delta").load(str(folder / "copy")).count()}


def run_polars(folder: Path) -> dict[str, float]:
    vocabulary = pl.read_parquet(folder / "stems.parquet/*.parquet")
    clock = Clock()
    rows = clean_with_polars([Path(uri) for uri in DeltaTable(folder / "tweets_raw").file_uris()], vocabulary)
    rows.write_parquet(folder / "polars.parquet")
    return clock.result(rows.height)


def run_pandas_nltk(folder: Path) -> dict[str, float]:
    vocabulary = pl.read_parquet(folder / "stems.parquet/*.parquet")
    stem_of = dict(vocabulary.select("word", "stem").iter_rows())
    sample = pl.scan_parquet(DeltaTable(folder / "tweets_raw").file_uris()).head(SAMPLE).collect().to_pandas()
    clock = Clock()
    rows = clean_with_pandas(sample, stem_of)
    result = clock.result(len(rows))
    rows.to_parquet(folder / "pandas_nltk.parquet")
    return result


CONTENDERS: dict[str, Callable[[Path], dict[str, float]]] = {
    "clean_tweets": run_clean_tweets,
    "read_write": run_read_write,
    "polars": run_polars,
    "pandas_nltk": run_pandas_nltk,
}


def run_contender(name: str, folder: Path) -> dict[str, float]:
    """Run one contender in its own process, with the deployment's JVM options. Return its measurements."""
    java_options = ""
    if class_archive_is_current(find_java_home()):
        java_options = f"-XX:SharedArchiveFile={CLASS_ARCHIVE} -Xlog:cds*=off"
    options = ["--driver-memory", DRIVER_MEMORY, "--driver-java-options", java_options]
    options += ["--conf", f"spark.driver.extraClassPath={spark_class_path()}"]
    return run_in_process("benchmarks.clean", ["contender", name, str(folder)], folder, options)


def run_baseline(commit: str, folder: Path) -> dict[str, float]:
    """Run clean_tweets of an earlier commit. Its benchmarks/clean.py must have the option --contender."""
    code, tables = folder / "baseline_code", folder / "baseline"
    code.mkdir()
    tables.mkdir()
    (tables / "tweets_raw").symlink_to(folder / "tweets_raw")
    archive = subprocess.run(
        ["git", "archive", commit], check=True, cwd=REPOSITORY, stdout=subprocess.PIPE
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(code)], check=True, input=archive)
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("*.jar")))
    arguments = ["--contender", "clean_tweets", "--folder", str(tables)]
    options = ["--driver-memory", DRIVER_MEMORY, "--jars", jars]
    return run_in_process("benchmarks.clean", arguments, tables, options, code)
