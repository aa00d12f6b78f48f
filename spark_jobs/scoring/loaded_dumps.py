"""The loaded dumps in the table `dumps`."""

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.tables import LOADED


def read_loaded_dumps(spark: SparkSession, dumps_uri: str) -> DataFrame:
    """Return `dump_sha256` and `ingested_at` of the loaded dumps, none if the table does not exist."""
    if not DeltaTable.isDeltaTable(spark, dumps_uri):
        return spark.createDataFrame([], "dump_sha256 string, ingested_at timestamp")
    dumps = spark.read.format("delta").load(dumps_uri)
    return dumps.where(F.col("state") == LOADED).select("dump_sha256", "ingested_at")
