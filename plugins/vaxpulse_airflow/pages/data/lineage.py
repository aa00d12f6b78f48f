"""Origin of a score: tables with their versions, model, and dump, as the tables and their logs record it.

Every look-up has a predicate on the id of a tweet, a dump or a model, and reads few columns. `tweets_scored`
is read in one partition. Logs are searched by time (`delta_log`).
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.exit_status import InputError
from contracts.exported_model import METADATA_FILE, ModelMetadata
from contracts.hdfs_paths import MODELS
from contracts.mlflow_names import REGISTERED_MODEL
from contracts.tables import (
    DRIFT,
    ERASURES,
    PIPELINE_METRICS,
    TWEETS_CLEAN,
    TWEETS_RAW,
    TWEETS_SCORED,
    Table,
)
from vaxpulse_airflow.pages.data.delta_log import Commit, DeltaLog
from vaxpulse_airflow.pages.data.report_files import read_file
from vaxpulse_airflow.pages.data.tables import Row, Tables, sql_text

CLEANING, SCORING = "clean_tweets", "score_tweets"  # stages, and DAGs that run them
ORIGIN_FILE = "origin.json"  # written by spark_jobs/scoring/registry.py


@dataclass(frozen=True)
class Versions:
    """The commits between a dump and its scores. A commit that is no longer in its log is None.

    Attributes:
        raw: appended the dump to `tweets_raw`.
        clean: ended the run that cleaned the tweets.
        scored: ended the run that scored them.
    """

    raw: Commit | None
    clean: Commit | None
    scored: Commit | None


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model that the executors read. `run_id` is the MLflow run, '' if it is not recorded."""

    metadata: ModelMetadata
    run_id: str


def list_scoring_models(tables: Tables) -> list[str]:
    """Return the versions of the model that have scored tweets, the latest first. No row is read."""

    def list_partitions(opened: Any) -> list[str]:
        found = [
            partition["model_version"]
            for partition in opened.delta.partitions()
            if partition["model_name"] == REGISTERED_MODEL
        ]
        return sorted(found, key=version_order, reverse=True)

    versions: list[str] = tables.cached(TWEETS_SCORED, "versions of the model", list_partitions, [])
    return versions


def version_order(version: str) -> tuple[int, str]:
    """Return the sort key of a version, which is a number."""
    return (int(version) if version.isdecimal() else -1, version)


def find_tweet(tables: Tables, tweet_id: str) -> Row | None:
    """Return dump, label and split of a tweet in `tweets_clean`, or None."""
    sql = f"SELECT dump_sha256, label, split FROM t WHERE tweet_id = {sql_text(tweet_id)}"  # noqa: S608
    return next(iter(tables.query(TWEETS_CLEAN, sql)), None)


def find_score(tables: Tables, tweet_id: str, version: str) -> Row | None:
    """Return the score of a tweet by a version of the model, or None."""
    condition = f"{is_model(version)} AND tweet_id = {sql_text(tweet_id)}"
    columns = "label, score, p_negative, p_neutral, p_positive, scored_at"
    return next(iter(tables.query(TWEETS_SCORED, f"SELECT {columns} FROM t WHERE {condition}")), None)  # noqa: S608


def find_erasure(tables: Tables, tweet_id: str) -> Row | None:
    """Return time and run of the latest erasure of a tweet, or None. The table has hashes of ids."""
    sha256 = hashlib.sha256(tweet_id.encode()).hexdigest()
    sql = (
        f"SELECT erased_at, run_id FROM t WHERE subject = 'tweet' AND sha256 = {sql_text(sha256)} "  # noqa: S608
        "ORDER BY erased_at DESC LIMIT 1"
    )
    return next(iter(tables.query(ERASURES, sql)), None)


def list_models_of_dump(tables: Tables, sha256: str) -> list[str]:
    """Return the versions of the model that have scored a dump, the latest first."""
    sql = (
        f"SELECT model_version FROM t WHERE dump_sha256 = {sql_text(sha256)} "  # noqa: S608
        f"AND model_name = {sql_text(REGISTERED_MODEL)}"
    )
    return sorted({row["model_version"] for row in tables.query(DRIFT, sql)}, key=version_order, reverse=True)


def find_versions_of_tweet(tables: Tables, sha256: str, version: str, scored_at: datetime) -> Versions:
    """Return the commits that a score depends on: from the score back to the dump."""
    scored, clean = open_log(tables, TWEETS_SCORED), open_log(tables, TWEETS_CLEAN)
    of_score = scored.find_since(scored_at, is_stage(scoring_stage(version))) if scored else None
    of_clean = clean.find_until(of_score.source_version, is_stage(CLEANING)) if clean and of_score else None
    return Versions(find_append(tables, sha256), of_clean, of_score)


def find_versions_of_dump(tables: Tables, sha256: str, version: str | None) -> Versions:
    """Return the first commits that contain a dump, its cleaned tweets, and their scores by a version."""
    scored, clean = open_log(tables, TWEETS_SCORED), open_log(tables, TWEETS_CLEAN)
    of_raw = find_append(tables, sha256)
    of_clean = clean.find_since(of_raw.time, is_stage(CLEANING, of_raw.version)) if clean and of_raw else None
    of_score = None
    if scored and of_clean and version:
        # A later model has scored the dump at its first run, long after the cleaning.
        sql = f"SELECT min(scored_at) AS since FROM t WHERE {is_model(version)}"  # noqa: S608
        first = next((row["since"] for row in tables.query(TWEETS_SCORED, sql)), None)
        since = max(of_clean.time, first) if first else of_clean.time
        of_score = scored.find_since(since, is_stage(scoring_stage(version), of_clean.version))
    return Versions(of_raw, of_clean, of_score)


def find_append(tables: Tables, sha256: str) -> Commit | None:
    """Return the commit that appended a dump to `tweets_raw`. Its Delta transaction has the dump's hash."""
    sql = f"SELECT min(ingested_at) AS since FROM t WHERE dump_sha256 = {sql_text(sha256)}"  # noqa: S608
    since = next((row["since"] for row in tables.query(TWEETS_RAW, sql)), None)
    log = open_log(tables, TWEETS_RAW)
    if since is None or log is None:
        return None
    return log.find_since(since, lambda commit: sha256 in commit.applications)


def find_training_commit(tables: Tables, table_version: int) -> Commit | None:
    """Return the last cleaning up to the version of `tweets_clean` that a model was trained on."""
    log = open_log(tables, TWEETS_CLEAN)
    return log.find_until(table_version, is_stage(CLEANING)) if log else None


def find_run(tables: Tables, dag_id: str, moment: datetime) -> str | None:
    """Return the id of the run whose stage made a commit, or None if `pipeline_metrics` does not have it."""
    time = f"TIMESTAMP '{moment.isoformat()}'"
    condition = f"dag_id = {sql_text(dag_id)} AND started_at <= {time} AND ended_at >= {time}"
    found = tables.query(PIPELINE_METRICS, f"SELECT run_id FROM t WHERE {condition}")  # noqa: S608
    return found[0]["run_id"] if found else None


def read_model_files(client: Any, version: str) -> ModelFiles | None:
    """Return the content of the folder of a model in HDFS, or None if the model has never scored.

    `apply_retention` deletes the folders of former champions.

    Raises:
        InputError: the metadata are invalid.
    """
    folder = f"{MODELS}/{REGISTERED_MODEL}/{version}"
    metadata, origin = (read_file(client, f"{folder}/{name}") for name in (METADATA_FILE, ORIGIN_FILE))
    if metadata is None:
        return None
    try:
        run_id = str(json.loads(origin or b"{}").get("run_id", ""))
    except ValueError:
        raise InputError(f"{ORIGIN_FILE} is not JSON") from None
    return ModelFiles(ModelMetadata.from_json(metadata.decode()), run_id)


def open_log(tables: Tables, table: Table) -> DeltaLog | None:
    """Return the log of a table, or None if there is no table."""
    opened = tables.open(table)
    return DeltaLog(opened.delta) if opened else None


def scoring_stage(version: str) -> str:
    """Return the stage of a model's scores."""
    return f"{SCORING} {REGISTERED_MODEL} {version}"


def is_stage(stage: str, min_source_version: int = -1) -> Any:
    """Return the condition for commits of a stage that has read at least a version of its source."""
    return lambda commit: commit.stage == stage and commit.source_version >= min_source_version


def is_model(version: str) -> str:
    """Return the SQL condition for the partition of a version of the model."""
    return f"model_name = {sql_text(REGISTERED_MODEL)} AND model_version = {sql_text(version)}"
