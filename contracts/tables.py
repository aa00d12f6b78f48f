"""Delta tables: names, columns in order, keys, descriptions.

`loading` derives Arrow schemas from these definitions, and `spark_jobs` Spark schemas. Timestamps are in UTC.
SHA-256 are in lower-case hexadecimal. `make docs` generates docs/reference/tables.md from this module.
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
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A Delta table. `key` names the columns whose values identify a row."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def column_names(self) -> list[str]:
        """Return the names of the columns in order."""
        return [column.name for column in self.columns]


DUMP_SHA256 = Column("dump_sha256", "string", "SHA-256 of the dump's bytes as delivered")
# Columns that tweets_raw and tweets_clean share.
CREATED_AT = Column("created_at", "timestamp", "time at which the tweet was written", nullable=True)
LANG = Column("lang", "string", "value of the dump's language column, in lower case", nullable=True)
AGREEMENT = Column("agreement", "double", "share of the annotators who gave the label", nullable=True)
SAFE_TEXT = Column("safe_text", "string", "text as delivered")
TWEET_ID = Column("tweet_id", "string", "id of the tweet, or derived from its text (`@text`)")

TWEETS_RAW = Table(
    "tweets_raw",
    "One row for each accepted tweet of each dump. Loading only appends rows; `retract_dump`, `erase_tweets` "
    "and `maintain_tables` delete rows. A column that the dump lacks is null.",
    key=("tweet_id", "dump_sha256"),
    columns=(
        TWEET_ID,
        SAFE_TEXT,
        Column("label", "double", "-1 negative, 0 neutral, 1 positive", nullable=True),
        AGREEMENT,
        CREATED_AT,
        LANG,
        DUMP_SHA256,
        Column("delivered_at", "timestamp", "time of the dump's first delivery; the latest delivery wins"),
        Column("ingested_at", "timestamp", "time at which the row was written"),
    ),
)

QUARANTINE = Table(
    "quarantine",
    "Records that break a rule.",
    key=("dump_sha256", "row_number"),
    columns=(
        DUMP_SHA256,
        Column("row_number", "long", "number of the record after the header, from 1"),
        Column("raw_record", "string", "the record as delivered"),
        Column("reason", "string", "rule that the record breaks"),
    ),
)

DUMPS = Table(
    "dumps",
    "One row per dump: records = accepted + duplicates + quarantined. Quality figures count all valid "
    "records with duplicates.",
    key=("dump_sha256",),
    columns=(
        DUMP_SHA256,
        Column("source", "string", "file name, path in HDFS, or URL without its query"),
        Column("delivered_at", "timestamp", "time of the first delivery"),
        Column("state", "string", "loaded, held, refused, rejected, retracted, failed or erased"),
        Column("bytes", "long", "size as delivered"),
        Column("records", "long", "records without the header"),
        Column("accepted", "long", "records that are tweets"),
        Column("known", "long", "accepted tweets whose id earlier deliveries contain"),
        Column("duplicates", "long", "records whose id a later record of the dump has"),
        Column("quarantined", "long", "records that break a rule"),
        Column("negative", "long", "valid records with label -1"),
        Column("neutral", "long", "valid records with label 0"),
        Column("positive", "long", "valid records with label 1"),
        Column("median_text_length", "double", "characters of the median text", nullable=True),
        Column("label_distance", "double", "distance of the label shares from earlier dumps", nullable=True),
        Column("changed_texts", "long", "tweets of `known` that had another text", nullable=True),
        Column("quarantined_lines", "long", "lines of quarantined and of very long records", nullable=True),
        Column("contradicting_ids", "long", "ids with several labels", nullable=True),
        Column("first_created_at", "timestamp", "time of the first tweet", nullable=True),
        Column("last_created_at", "timestamp", "time of the last tweet", nullable=True),
        Column("format", "string", "how the bytes were read, as JSON", nullable=True),
        Column("mapping", "string", "how the columns were read, as JSON", nullable=True),
        Column("questions", "string", "JSON list: open questions with sampled values", nullable=True),
        Column("notes", "string", "JSON list of sentences for a person", nullable=True),
        Column("reason", "string", "why it is not loaded, or why a person decided so", nullable=True),
        Column("ingested_at", "timestamp", "time of the last change of the row"),
        Column("run_id", "string", "run that changed the row last"),
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

MAPPINGS = Table(
    "mappings",
    "Mappings that users gave for a header. They apply to later dumps with this header until they are "
    "withdrawn.",
    key=("header_sha256",),
    columns=(
        Column("header_sha256", "string", "SHA-256 of the header"),
        Column("header", "string", "names of the columns, as JSON"),
        Column("mapping", "string", "the mapping, as JSON"),
        Column("given_by", "string", "user, or the run if no user is known"),
        Column("given_at", "timestamp", "time of the answer"),
        Column("withdrawn_at", "timestamp", "the mapping is not used after this time", nullable=True),
    ),
)

ERASURES = Table(
    "erasures",
    "One row per erased tweet, and one per dump whose file in raw/ was deleted or rewritten. It contains no "
    "id.",
    key=("subject", "sha256"),
    columns=(
        Column("subject", "string", "`tweet` or `dump`"),
        Column("sha256", "string", "SHA-256 of the tweet's id, or of the dump"),
        Column("erased_at", "timestamp", "time of the erasure"),
        Column("reason", "string", "reason that a user gave"),
        Column("run_id", "string", "run of `erase_tweets`"),
    ),
)

TWEETS_CLEAN = Table(
    "tweets_clean",
    "One row per tweet, from its latest delivery.",
    key=("tweet_id",),
    columns=(
        TWEET_ID,
        SAFE_TEXT,
        Column(
            "text",
            "string",
            "input of the models: `safe_text` with placeholders for handles and links, repaired encodings "
            "and decoded entities",
        ),
        Column("label", "int", "-1 negative, 0 neutral, 1 positive", nullable=True),
        AGREEMENT,
        CREATED_AT,
        LANG,
        Column("hashtags", "array<string>", "names in lower case, in the order of the text"),
        Column("emoji", "array<string>", "complete sequences, in the order of the text"),
        Column("clean_text", "string", "words without links, handles, hashtags, emoji and punctuation"),
        Column("stemmed_text", "string", "stems of `clean_text`"),
        Column("text_group", "string", "hash of the normalised text; all copies of a text share it"),
        Column("split", "string", "train, eval or unlabelled: a function of `text_group`"),
        DUMP_SHA256,
    ),
)

TWEETS_SCORED = Table(
    "tweets_scored",
    "Scores of each champion.",
    key=("tweet_id", "model_name", "model_version"),
    columns=(
        TWEET_ID,
        Column("p_negative", "double", "probability of -1"),
        Column("p_neutral", "double", "probability of 0"),
        Column("p_positive", "double", "probability of 1"),
        Column("label", "int", "label with the greatest probability"),
        Column("score", "double", "p_positive - p_negative"),
        Column("model_name", "string", "registered model"),
        Column("model_version", "string", "its version in MLflow"),
        Column("scored_at", "timestamp", "time of the scoring"),
    ),
)

DRIFT = Table(
    "drift",
    "Distance of each dump from the model's training data. Measures are null if too few tweets are measured.",
    key=("dump_sha256", "model_name", "model_version"),
    columns=(
        DUMP_SHA256,
        Column("model_name", "string", "registered model"),
        Column("model_version", "string", "its version in MLflow"),
        Column("tweets", "long", "measured texts: copies count once, texts of the training do not"),
        Column("label_psi", "double", "distance of the predicted label shares", nullable=True),
        Column("length_psi", "double", "distance of the text lengths", nullable=True),
        Column("word_psi", "double", "distance of the word frequencies", nullable=True),
        Column("unseen_word_increase", "double", "increase of the share of unseen words", nullable=True),
        Column("confidence_drop", "double", "decrease of the mean confidence", nullable=True),
        # Null in rows of version 0.2.0.
        Column("label_psi_limit", "double", "limit for a dump of this size", nullable=True),
        Column("length_psi_limit", "double", "likewise", nullable=True),
        Column("word_psi_limit", "double", "likewise", nullable=True),
        Column("breaches", "array<string>", "measures above their limits"),
        Column("measured_at", "timestamp", "time of the measurement"),
    ),
)

PIPELINE_METRICS = Table(
    "pipeline_metrics",
    "One row for the latest try of each task that runs a stage of the pipeline. A figure that does not exist "
    "for a stage is null.",
    key=("dag_id", "run_id", "task_id", "map_index"),
    columns=(
        Column("dag_id", "string", "DAG"),
        Column("run_id", "string", "DAG run"),
        Column("task_id", "string", "task"),
        Column("map_index", "int", "index of a mapped task, else -1"),
        Column("state", "string", "state in Airflow"),
        Column("tries", "int", "number of tries"),
        Column("started_at", "timestamp", "start of the latest try"),
        Column("ended_at", "timestamp", "its end"),
        Column("seconds", "double", "its duration"),
        Column("rows_in", "long", "records of the dumps, or rows of the source at the start", nullable=True),
        Column("rows_out", "long", "accepted tweets, or rows that all tries have written", nullable=True),
        Column("bytes", "long", "size of the dumps, or bytes that all tries have written", nullable=True),
        Column("lag_seconds", "double", "longest time from a delivery to its first score", nullable=True),
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
