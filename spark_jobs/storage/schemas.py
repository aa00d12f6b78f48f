"""Spark schemas of the tables that `contracts.tables` defines."""

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


TWEETS_CLEAN_SCHEMA = spark_schema(TWEETS_CLEAN)
TWEETS_SCORED_SCHEMA = spark_schema(TWEETS_SCORED)
DRIFT_SCHEMA = spark_schema(DRIFT)
