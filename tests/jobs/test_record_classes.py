"""The job whose classes are archived succeeds and makes every kind of Delta commit."""

from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from spark_jobs import record_classes


def test_every_kind_of_commit_is_made(spark: SparkSession, tmp_path: Path) -> None:
    folder = str(tmp_path / "table")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        record_classes.write_table(spark, folder)
        record_classes.aggregate(spark.read.format("delta").load(folder))
        record_classes.maintain_table(spark, folder)
    finally:
        spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    record_classes.call_hdfs(spark)
    operations = {
        row.operation for row in DeltaTable.forPath(spark, folder).history().select("operation").collect()
    }
    assert operations == {
        "CREATE TABLE",
        "WRITE",
        "MERGE",
        "DELETE",
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
    }
