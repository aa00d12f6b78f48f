"""Arrow schemas of the tables that loading writes, their URIs, and how they are created."""

from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable, Schema

from contracts.tables import DUMPS, QUARANTINE, TWEETS_RAW, Table, Type

TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[Type, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "int": pa.int32(),
    "long": pa.int64(),
    "timestamp": TIMESTAMP,
    "array<string>": pa.list_(pa.string()),
}
PROPERTIES = {
    TWEETS_RAW.name: {
        # clean_tweets reads the change data feed.
        "delta.enableChangeDataFeed": "true",
        # Ids and texts are not sorted, so their minimum and maximum do not help to skip files.
        "delta.dataSkippingStatsColumns": "dump_sha256,delivered_at",
    },
    QUARANTINE.name: {"delta.dataSkippingStatsColumns": "dump_sha256,row_number"},
    DUMPS.name: {},
}


@dataclass(frozen=True)
class Tables:
    """URIs of the tables."""

    tweets_raw: str
    quarantine: str
    dumps: str


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table."""
    return pa.schema([(column.name, ARROW_TYPES[column.type], column.nullable) for column in table.columns])


def create_table(uri: str, table: Table) -> None:
    """Create a table if it does not exist."""
    if not DeltaTable.is_deltatable(uri):
        schema = Schema.from_arrow(arrow_schema(table))
        DeltaTable.create(uri, schema=schema, mode="ignore", configuration=PROPERTIES[table.name])
