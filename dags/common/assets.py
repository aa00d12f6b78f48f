"""Every Asset and every place in HDFS, once. A path appears in no other file; jobs get theirs by their command line."""

from __future__ import annotations

import os

from airflow.sdk import Asset, AssetWatcher
from vaxpulse_airflow.delivery_trigger import LandedDumpTrigger
from vaxpulse_airflow.reports import report_folder

# hdfs://host:port of the deployment. Without it nothing can work, so a missing value stops the parsing of every DAG.
HDFS = os.environ["VAXPULSE_HDFS"].rstrip("/")

# Paths within HDFS: WebHDFS wants no scheme.
LANDING_FOLDER = "/vaxpulse/landing"  # people and programs put new dumps here
DELIVERED_FOLDER = (
    "/vaxpulse/delivered"  # from there they are renamed to here, until they are loaded, held or refused
)
RAW_FOLDER = "/vaxpulse/raw"  # each content once, as <sha256>.csv

TABLES = f"{HDFS}/vaxpulse/tables"
QUARANTINE = f"{TABLES}/quarantine"
DUMPS = f"{TABLES}/dumps"
DRIFT_TABLE = f"{TABLES}/drift"  # how far each dump is from the champion's training data

MODELS_FOLDER = f"{HDFS}/vaxpulse/models"  # <name>/<version>: the files that executors score with

LANDED_DUMPS = Asset(
    name="landed_dumps",
    uri=f"{HDFS}{LANDING_FOLDER}",
    watchers=[
        AssetWatcher(name="landing_folder", trigger=LandedDumpTrigger(LANDING_FOLDER, DELIVERED_FOLDER))
    ],
)
TWEETS_RAW = Asset(name="tweets_raw", uri=f"{TABLES}/tweets_raw")
TWEETS_CLEAN = Asset(name="tweets_clean", uri=f"{TABLES}/tweets_clean")
TWEETS_SCORED = Asset(name="tweets_scored", uri=f"{TABLES}/tweets_scored")
# The champion has changed: another version of the registered model scores from now on.
MODELS = Asset(name="models", uri="vaxpulse://mlflow/models")
# New tweets differ from those that the champion has learned from.
DRIFT = Asset(name="drift", uri="vaxpulse://mlflow/drift")

TABLE_URIS = [TWEETS_RAW.uri, QUARANTINE, DUMPS, TWEETS_CLEAN.uri, TWEETS_SCORED.uri, DRIFT_TABLE]

# What every command of the room `loading` is told.
LOADING_ARGUMENTS = {
    "raw": f"{HDFS}{RAW_FOLDER}",
    "tweets-raw": TWEETS_RAW.uri,
    "quarantine": QUARANTINE,
    "dumps": DUMPS,
}


def report_uri(dag_id: str, run_id: str) -> str:
    """Return the folder of a run's report; the page that shows it in Airflow's UI looks there."""
    return f"{HDFS}{report_folder(dag_id, run_id)}"
