"""Delta tables: names, columns in order, keys.

`loading` derives Arrow schemas from these definitions, and `spark_jobs` Spark schemas. Timestamps are in UTC.
`dump_sha256` is the SHA-256 of a dump's bytes as delivered, in lower-case hexadecimal.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Type = Literal["string", "double", "int", "long", "timestamp", "array<string>"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: Type
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A Delta table. `key` names the columns whose values identify a row."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def column_names(self) -> list[str]:
        """Return the names of the columns in order."""
        return [column.name for column in self.columns]


# Append-only log: one row for each accepted tweet of each dump. A column that the dump lacks is null.
# created_at is the time at which the tweet was written.
TWEETS_RAW = Table(
    "tweets_raw",
    key=("tweet_id", "dump_sha256"),
    columns=(
        Column("tweet_id", "string"),
        Column("safe_text", "string"),
        Column("label", "double", nullable=True),
        Column("agreement", "double", nullable=True),
        Column("created_at", "timestamp", nullable=True),
        Column("lang", "string", nullable=True),
        Column("dump_sha256", "string"),
        Column("delivered_at", "timestamp"),
        Column("ingested_at", "timestamp"),
    ),
)

# Records that break a rule. row_number counts the records after the header from 1.
QUARANTINE = Table(
    "quarantine",
    key=("dump_sha256", "row_number"),
    columns=(
        Column("dump_sha256", "string"),
        Column("row_number", "long"),
        Column("raw_record", "string"),
        Column("reason", "string"),
    ),
)

# One row per dump: records = accepted + duplicates + quarantined. `known` counts the accepted tweets that
# earlier deliveries contain, `changed_texts` those of them whose text differs. Quality figures count all
# valid records with duplicates. `quarantined_lines` counts the lines in quarantined records. JSON: `format`
# and `mapping` (how the dump was read), `questions` (a user must answer them before the dump is loaded),
# `notes` (sentences). `reason` explains the state.
DUMPS = Table(
    "dumps",
    key=("dump_sha256",),
    columns=(
        Column("dump_sha256", "string"),
        Column("source", "string"),
        Column("delivered_at", "timestamp"),
        Column("state", "string"),
        Column("bytes", "long"),
        Column("records", "long"),
        Column("accepted", "long"),
        Column("known", "long"),
        Column("duplicates", "long"),
        Column("quarantined", "long"),
        Column("negative", "long"),
        Column("neutral", "long"),
        Column("positive", "long"),
        Column("median_text_length", "double", nullable=True),
        Column("label_distance", "double", nullable=True),
        Column("changed_texts", "long", nullable=True),
        Column("quarantined_lines", "long", nullable=True),
        Column("contradicting_ids", "long", nullable=True),
        Column("first_created_at", "timestamp", nullable=True),
        Column("last_created_at", "timestamp", nullable=True),
        Column("format", "string", nullable=True),
        Column("mapping", "string", nullable=True),
        Column("questions", "string", nullable=True),
        Column("notes", "string", nullable=True),
        Column("reason", "string", nullable=True),
        Column("ingested_at", "timestamp"),
        Column("run_id", "string"),
    ),
)
# States of a dump.
LOADED, HELD, REFUSED, REJECTED, RETRACTED = "loaded", "held", "refused", "rejected", "retracted"
# A dump that could not be read or stored. If its bytes cannot be read, its key is the SHA-256 of the name of
# the delivered file.
FAILED = "failed"
# Clocks of two machines may differ by this time. A later time of delivery is an error.
MAX_CLOCK_DIFFERENCE = timedelta(minutes=1)
ERASED = "erased"  # the file and all rows are deleted for good; the same content is not stored again
# Characters of a user's reason for a decision about a dump, which becomes the row's `reason`.
MIN_REASON_LENGTH = 10

# Mappings that users gave for a header. They apply to later dumps with this header until they are withdrawn.
MAPPINGS = Table(
    "mappings",
    key=("header_sha256",),
    columns=(
        Column("header_sha256", "string"),
        Column("header", "string"),
        Column("mapping", "string"),
        Column("given_by", "string"),
        Column("given_at", "timestamp"),
        Column("withdrawn_at", "timestamp", nullable=True),
    ),
)

# What `erase_tweets` erased: one row per tweet with the SHA-256 of its id (the table contains no id), and one
# per dump whose file in raw/ was deleted or rewritten, with its SHA-256. subject is `tweet` or `dump`.
ERASURES = Table(
    "erasures",
    key=("subject", "sha256"),
    columns=(
        Column("subject", "string"),
        Column("sha256", "string"),
        Column("erased_at", "timestamp"),
        Column("reason", "string"),
        Column("run_id", "string"),
    ),
)

# One row per tweet, from its latest delivery. `text` is the models' input: safe_text with placeholders for
# handles and links, repaired encodings and decoded entities. split (train, eval or unlabelled) is a function
# of text_group.
TWEETS_CLEAN = Table(
    "tweets_clean",
    key=("tweet_id",),
    columns=(
        Column("tweet_id", "string"),
        Column("safe_text", "string"),
        Column("text", "string"),
        Column("label", "int", nullable=True),
        Column("agreement", "double", nullable=True),
        Column("created_at", "timestamp", nullable=True),
        Column("lang", "string", nullable=True),
        Column("hashtags", "array<string>"),
        Column("emoji", "array<string>"),
        Column("clean_text", "string"),
        Column("stemmed_text", "string"),
        Column("text_group", "string"),
        Column("split", "string"),
        Column("dump_sha256", "string"),
    ),
)

# score = p_positive - p_negative.
TWEETS_SCORED = Table(
    "tweets_scored",
    key=("tweet_id", "model_name", "model_version"),
    columns=(
        Column("tweet_id", "string"),
        Column("p_negative", "double"),
        Column("p_neutral", "double"),
        Column("p_positive", "double"),
        Column("label", "int"),
        Column("score", "double"),
        Column("model_name", "string"),
        Column("model_version", "string"),
        Column("scored_at", "timestamp"),
    ),
)

# Distance of each dump from the model's training data. `tweets` counts the tweets that the model was not
# trained on; only these are measured. Measures are null if they are too few. The limit of a distance depends
# on the size of the dump; it is null in rows of version 0.2.0. `breaches` names the measures above their
# limits.
DRIFT = Table(
    "drift",
    key=("dump_sha256", "model_name", "model_version"),
    columns=(
        Column("dump_sha256", "string"),
        Column("model_name", "string"),
        Column("model_version", "string"),
        Column("tweets", "long"),
        Column("label_psi", "double", nullable=True),
        Column("length_psi", "double", nullable=True),
        Column("word_psi", "double", nullable=True),
        Column("unseen_word_increase", "double", nullable=True),
        Column("confidence_drop", "double", nullable=True),
        Column("label_psi_limit", "double", nullable=True),
        Column("length_psi_limit", "double", nullable=True),
        Column("word_psi_limit", "double", nullable=True),
        Column("breaches", "array<string>"),
        Column("measured_at", "timestamp"),
    ),
)

# One row for the latest try of each task that runs a stage of the pipeline. rows_in: records of the dumps, or
# rows of the source table when the task started. rows_out and bytes: what the task has written to its table
# (loading: bytes of the dumps). lag_seconds: greatest time from the delivery of a dump to its first score. A
# figure that does not exist for a stage is null.
PIPELINE_METRICS = Table(
    "pipeline_metrics",
    key=("dag_id", "run_id", "task_id", "map_index"),
    columns=(
        Column("dag_id", "string"),
        Column("run_id", "string"),
        Column("task_id", "string"),
        Column("map_index", "int"),
        Column("state", "string"),
        Column("tries", "int"),
        Column("started_at", "timestamp"),
        Column("ended_at", "timestamp"),
        Column("seconds", "double"),
        Column("rows_in", "long", nullable=True),
        Column("rows_out", "long", nullable=True),
        Column("bytes", "long", nullable=True),
        Column("lag_seconds", "double", nullable=True),
    ),
)

TABLES = (
    DUMPS,
    MAPPINGS,
    ERASURES,
    TWEETS_RAW,
    QUARANTINE,
    TWEETS_CLEAN,
    TWEETS_SCORED,
    DRIFT,
    PIPELINE_METRICS,
)
