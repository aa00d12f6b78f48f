"""Arrow schemas of the tables that loading writes, their URIs, and how they are created."""

from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable, Schema

from contracts.tables import DUMPS, ERASURES, MAPPINGS, QUARANTINE, TWEETS_RAW, Table, Type
from loading.tables.conflicts import retry_on_conflict

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
    MAPPINGS.name: {},
    ERASURES.name: {},
}


@dataclass(frozen=True)
class Tables:
    """URIs of the tables."""

    tweets_raw: str
    quarantine: str
    dumps: str
    mappings: str
    erasures: str


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table."""
    return pa.schema([(column.name, ARROW_TYPES[column.type], column.nullable) for column in table.columns])


def create_table(uri: str, table: Table) -> None:
    """Create a table if it does not exist. Add columns that an older version of the platform did not have."""
    if not DeltaTable.is_deltatable(uri):
        schema = Schema.from_arrow(arrow_schema(table))
        DeltaTable.create(uri, schema=schema, mode="ignore", configuration=PROPERTIES[table.name])
        return
    retry_on_conflict(lambda: add_missing_columns(uri, table))


def add_missing_columns(uri: str, table: Table) -> None:
    """Add the columns that a table lacks; they are null in its rows. The protocol does not change."""
    current = DeltaTable(uri)
    present = {field.name for field in current.schema().fields}
    missing = [field for field in arrow_schema(table) if field.name not in present]
    if missing:
        current.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
        names = ", ".join(field.name for field in missing)
        print(f"{table.name}: added the columns {names}; they are null in rows of before", flush=True)
