"""Older versions of Delta tables, and whether they can still be read."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession


def read_version(spark: SparkSession, uri: str, version: int) -> DataFrame:
    """The rows of one version of a Delta table."""
    return spark.read.format("delta").option("versionAsOf", version).load(uri)


def is_readable(spark: SparkSession, rows: DataFrame) -> bool:
    """Whether all data files that `rows` is read from are still there."""
    jvm: Any = spark.sparkContext._jvm
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    paths = [jvm.org.apache.hadoop.fs.Path(file) for file in rows.inputFiles()]
    return all(path.getFileSystem(configuration).exists(path) for path in paths)
