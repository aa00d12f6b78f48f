"""Spark schemas of the tables that `contracts.tables` defines."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from contracts.tables import DRIFT, TWEETS_CLEAN, TWEETS_SCORED, Table, Type

SPARK_TYPES: dict[Type, DataType] = {
    "string": StringType(),
    "double": DoubleType(),
    "int": IntegerType(),
    "long": LongType(),
    "timestamp": TimestampType(),
    "array<string>": ArrayType(StringType(), containsNull=False),
}


def spark_schema(table: Table) -> StructType:
    """Return the schema of a table."""
    return StructType(
        [StructField(column.name, SPARK_TYPES[column.type], column.nullable) for column in table.columns]
    )


def add_missing_columns(rows: DataFrame, table: Table) -> DataFrame:
    """Return the rows with null in the nullable columns that an older version of the table lacks."""
    missing = [column for column in table.columns if column.nullable and column.name not in rows.columns]
    return rows.withColumns({each.name: F.lit(None).cast(SPARK_TYPES[each.type]) for each in missing})


TWEETS_CLEAN_SCHEMA = spark_schema(TWEETS_CLEAN)
TWEETS_SCORED_SCHEMA = spark_schema(TWEETS_SCORED)
DRIFT_SCHEMA = spark_schema(DRIFT)
