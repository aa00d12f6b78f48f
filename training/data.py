"""Reads the labelled tweets from the Delta table `tweets_clean`, without a JVM, and checks what training relies on."""

import hashlib
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pandas as pd
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from training.errors import NothingToTrain, TrainingError
from training.labels import CLASS_NAMES, LABELS

CONNECT_TIMEOUT_SECONDS = 5
VALIDATION_SHARE = 0.15  # of the train side
EVAL_BELOW = "33333333"  # text groups that begin with less are on the eval side once a dump brings their labels: the rule of clean_tweets
COLUMNS = ["tweet_id", "text", "label", "agreement", "text_group"]


@dataclass(frozen=True)
class LabelledTweets:
    """Both sides of the split at one version of the table, and the part of the train side that choices are made by.

    `train`, `validation` and `eval` have the columns tweet_id, text (str), label (int, -1, 0 or 1) and agreement (float, the share of the annotators
    who gave the label; 1 where it is not known) and text_group, ordered by tweet_id.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    eval: pd.DataFrame
    uri: str
    delta_version: int
    text_column: str
    dumps: tuple[str, ...] = ()  # SHA-256 of every dump that a row comes from

    def parts(self) -> dict[str, pd.DataFrame]:
        """The three parts by their names."""
        return {"train": self.train, "validation": self.validation, "eval": self.eval}

    def digest(self) -> str:
        """64 hexadecimal digits over side and content of every row: equal means nothing to learn anew."""
        digest = hashlib.sha256()
        for side, rows in self.parts().items():
            for row in rows.itertuples(index=False):
                for part in (side, row.tweet_id, row.text, str(row.label), repr(row.agreement)):
                    encoded = str(part).encode()
                    # With its length in front no part can pass for the end of its neighbour.
                    digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return digest.hexdigest()


def read_labelled_tweets(
    uri: str, text_column: str, version: int | None = None, max_train_rows: int | None = None
) -> LabelledTweets:
    """Labelled rows of `tweets_clean` at `uri` (hdfs://host:port/path or a folder), at `version` or the newest.

    Raises:
        NothingToTrain: no tweet has a label.
        TrainingError: the table, version or a column is absent, or the rows cannot be trained on and judged by.
    """
    table = open_table(uri, version)
    columns = ["tweet_id", text_column, "label", "agreement", "split", "text_group", "dump_sha256"]
    present = {field.name for field in table.schema().fields}
    if absent := [column for column in columns if column not in present]:
        raise TrainingError(
            f"{uri} version {table.version()} has no column {', '.join(absent)} (it has {', '.join(sorted(present))})"
        )

    rows = table.to_pyarrow_table(columns=columns, filters=[("split", "in", ["train", "eval"])]).to_pandas()
    rows = rows[rows["label"].notna()].rename(columns={text_column: "text"}).fillna({"agreement": 1.0})
    _check(rows, uri, text_column)

    # File order changes with every OPTIMIZE; the same rows must give the same batches.
    rows = rows.astype({"label": int}).sort_values("tweet_id", kind="stable", ignore_index=True)
    part = rows["split"].mask(
        (rows["split"] == "train") & rows["text_group"].map(is_validation), "validation"
    )
    train, validation, held_out = (
        rows.loc[part == name, COLUMNS].reset_index(drop=True) for name in ("train", "validation", "eval")
    )
    if validation.empty:
        raise TrainingError(
            f"{uri} has {len(train)} labelled tweets to learn from, too few to put some aside for validation: ingest more"
        )
    if max_train_rows is not None:
        train, validation = sample_rows(train, max_train_rows), sample_rows(validation, max_train_rows)
    dumps = tuple(sorted(set(rows["dump_sha256"].dropna())))
    return LabelledTweets(train, validation, held_out, uri, table.version(), text_column, dumps)


def is_validation(text_group: str) -> bool:
    """Whether the texts of a group are in the validation part of the train side: of all groups a share, always the same ones."""
    number = int.from_bytes(hashlib.sha256(f"validation:{text_group}".encode()).digest()[:4], "big")
    return number < VALIDATION_SHARE * 2**32


def is_held_out(text_group: str) -> bool:
    """Whether the texts of a group judge models, or will once they have labels."""
    return text_group[:8] < EVAL_BELOW or is_validation(text_group)


def sample_rows(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """About `count` rows with every label in its share (one row of each at least), the same ones at every call."""
    if len(rows) <= count:
        return rows
    rank = rows["tweet_id"].map(lambda tweet_id: hashlib.sha256(str(tweet_id).encode()).hexdigest())
    shuffled = rows.loc[rank.sort_values().index]
    parts = [part.head(max(1, round(count * len(part) / len(rows)))) for _, part in shuffled.groupby("label")]
    return pd.concat(parts).sort_index().reset_index(drop=True)


def open_table(uri: str, version: int | None) -> DeltaTable:
    """A Delta table at a version, None for its newest.

    Raises:
        TrainingError: HDFS does not answer, or there is no such table or version.
    """
    address = urlsplit(uri)
    if (
        address.scheme == "hdfs" and address.port is not None
    ):  # without a port it is a name service of HADOOP_CONF_DIR
        # deltalake's HDFS client hangs for more than 100 s on a refused port.
        try:
            socket.create_connection(
                (address.hostname or "", address.port), timeout=CONNECT_TIMEOUT_SECONDS
            ).close()
        except OSError as error:
            raise TrainingError(
                f"no NameNode answers at {address.hostname}:{address.port} ({error}): is HDFS running?"
            ) from None
    try:
        table = DeltaTable(uri)
    except (TableNotFoundError, DeltaError, OSError, ValueError) as error:
        raise TrainingError(
            f"no Delta table at {uri} ({_first_line(error)}): has the DAG that writes it run?"
        ) from None
    if version is not None:
        newest = table.version()
        try:
            table.load_as_version(version)
        except (DeltaError, OSError, ValueError, OverflowError) as error:
            raise TrainingError(
                f"{uri} has no version {version} that can be read; its newest is {newest} ({_first_line(error)})"
            ) from None
    return table


def _check(rows: pd.DataFrame, uri: str, text_column: str) -> None:
    if rows.empty:
        raise NothingToTrain(
            f"{uri} has no labelled tweet: nothing to learn from until a dump with labels is ingested"
        )
    if strange := sorted(set(rows["label"]) - set(LABELS)):
        raise TrainingError(f"{uri} has labels other than -1, 0 and 1: {strange[:5]}")
    if nulls := int(rows["text"].isna().sum()):
        raise TrainingError(f"{uri} has {nulls} labelled rows whose {text_column} is null")
    for side in ("train", "eval"):
        labels = set(rows.loc[rows["split"] == side, "label"])
        if missing := [
            f"{label} ({name})"
            for label, name in zip(LABELS, CLASS_NAMES, strict=True)
            if label not in labels
        ]:
            raise TrainingError(
                f"no {side} row of {uri} has the label {', '.join(missing)}: a model cannot learn or be judged without"
            )
    sides_per_group = rows.groupby("text_group")["split"].nunique()
    if leaks := int((sides_per_group > 1).sum()):
        raise TrainingError(
            f"{leaks} text groups of {uri} lie on both sides of the split: its evaluation would be worth nothing"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
