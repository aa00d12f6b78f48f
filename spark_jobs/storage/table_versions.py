"""Versions of Delta tables."""

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.utils import AnalysisException

from contracts.exit_status import InputError
from spark_jobs.storage import hadoop_files


def read_version(spark: SparkSession, uri: str, version: int) -> DataFrame:
    """Return the rows of a version."""
    return spark.read.format("delta").option("versionAsOf", version).load(uri)


def read_if_available(spark: SparkSession, uri: str, version: int) -> DataFrame | None:
    """Return the rows of a version, or None if VACUUM or log retention removed its files."""
    try:
        rows = read_version(spark, uri, version)
    except AnalysisException:  # Delta's log no longer contains the version
        return None
    return rows if all(hadoop_files.exists(spark, file) for file in rows.inputFiles()) else None


def require_table(spark: SparkSession, uri: str, advice: str) -> None:
    """Raise InputError with an advice if there is no Delta table."""
    if not DeltaTable.isDeltaTable(spark, uri):
        raise InputError(f"no table at {uri}: {advice}")
