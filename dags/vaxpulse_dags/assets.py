"""Assets that link the DAGs, and URIs that tasks pass to commands."""

import os

from airflow.sdk import Asset, AssetWatcher

from contracts import hdfs_paths, tables
from vaxpulse_airflow.delivery_trigger import LandedDumpTrigger

# hdfs://host:port. If it is missing, no DAG can be parsed.
HDFS = os.environ["VAXPULSE_HDFS"].rstrip("/")


def table_uri(table: tables.Table) -> str:
    """Return the URI of a Delta table."""
    return hdfs_paths.uri(HDFS, hdfs_paths.table_path(table.name))


def table_asset(table: tables.Table) -> Asset:
    """Return the Asset of a Delta table."""
    return Asset(name=table.name, uri=table_uri(table))


def report_uri(dag_id: str, run_id: str) -> str:
    """Return the folder of a run's report. The tab *Report* of the run shows its `report.html`."""
    return hdfs_paths.uri(HDFS, hdfs_paths.report_path(dag_id, run_id))


LANDED_DUMPS = Asset(
    name="landed_dumps",
    uri=hdfs_paths.uri(HDFS, hdfs_paths.LANDING),
    watchers=[AssetWatcher(name="landing_folder", trigger=LandedDumpTrigger())],
)
TWEETS_RAW = table_asset(tables.TWEETS_RAW)
TWEETS_CLEAN = table_asset(tables.TWEETS_CLEAN)
TWEETS_SCORED = table_asset(tables.TWEETS_SCORED)
# Changes when another version of the registered model becomes the champion.
MODELS = Asset(name="models", uri="vaxpulse://mlflow/models")
# Changes when new dumps differ from the champion's training data.
DRIFT = Asset(name="drift", uri="vaxpulse://mlflow/drift")

DUMPS = table_uri(tables.DUMPS)
QUARANTINE = table_uri(tables.QUARANTINE)
MAPPINGS = table_uri(tables.MAPPINGS)
ERASURES = table_uri(tables.ERASURES)
DRIFT_TABLE = table_uri(tables.DRIFT)

# Options of every command of `loading`.
LOADING_OPTIONS = {
    "raw": hdfs_paths.uri(HDFS, hdfs_paths.RAW),
    "tweets-raw": TWEETS_RAW.uri,
    "quarantine": QUARANTINE,
    "dumps": DUMPS,
    "mappings": MAPPINGS,
    "erasures": ERASURES,
    "run-id": "{{ run_id }}",
}
