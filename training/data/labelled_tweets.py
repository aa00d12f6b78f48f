"""Read the labelled tweets from the Delta table `tweets_clean`, without a JVM, and validate them."""

import hashlib
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pandas as pd
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from contracts.exit_status import InputError, NothingToDo
from contracts.labels import LABEL_NAMES, LABELS
from contracts.split import is_eval
from training.command import TransientError

CONNECT_TIMEOUT_SECONDS = 5
VALIDATION_SHARE = 0.15  # of the train side
COLUMNS = ["tweet_id", "text", "shown_text", "label", "agreement", "text_group"]


@dataclass(frozen=True)
class LabelledTweets:
    """The labelled rows of one table version in three parts. `train` and `validation` are the train side.

    Each part has the columns COLUMNS and is ordered by tweet_id. `text` is the model's input, `shown_text`
    the text without user names for reports. `label` is -1, 0 or 1. `agreement` is the share of annotators who
    gave the label, 1 if it is unknown. `dumps` has the SHA-256 of each dump that contains a row.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    eval: pd.DataFrame
    uri: str
    table_version: int
    text_column: str
    dumps: tuple[str, ...] = ()

    def parts(self) -> dict[str, pd.DataFrame]:
        """Return the three parts by name."""
        return {"train": self.train, "validation": self.validation, "eval": self.eval}

    def digest(self) -> str:
        """Return the SHA-256 of part and content of all rows."""
        digest = hashlib.sha256()
        for name, rows in self.parts().items():
            for row in rows.itertuples(index=False):
                for field in (name, row.tweet_id, row.text, str(row.label), repr(row.agreement)):
                    encoded = str(field).encode()
                    # The length marks the border between two fields.
                    digest.update(len(encoded).to_bytes(4, "big") + encoded)
        return digest.hexdigest()


def read_labelled_tweets(
    uri: str, text_column: str, version: int | None = None, max_train_rows: int | None = None
) -> LabelledTweets:
    """Return the labelled rows of `tweets_clean`.

    Args:
        uri: hdfs://host:port/path or a folder.
        text_column: column of the model's input.
        version: Delta version, None for the latest.
        max_train_rows: size of the sample of each of train and validation, None for all rows.

    Raises:
        NothingToDo: no tweet has a label.
        InputError: the table, version or a column does not exist, or the rows cannot be used for training.
        TransientError: HDFS does not answer.
    """
    table = open_table(uri, version)
    texts = list(dict.fromkeys(["text", text_column]))
    columns = ["tweet_id", *texts, "label", "agreement", "split", "text_group", "dump_sha256"]
    present = {field.name for field in table.schema().fields}
    if missing := [column for column in columns if column not in present]:
        raise InputError(
            f"{uri} version {table.version()} has no column {', '.join(missing)} "
            f"(it has {', '.join(sorted(present))})"
        )

    rows = table.to_pyarrow_table(columns=columns, filters=[("split", "in", ["train", "eval"])]).to_pandas()
    rows = rows[rows["label"].notna()].fillna({"agreement": 1.0})
    rows = rows.assign(shown_text=rows["text"], text=rows[text_column])
    _validate(rows, uri, text_column)

    # OPTIMIZE changes the order of rows in files. The same rows must give the same batches.
    rows = rows.astype({"label": int}).sort_values("tweet_id", kind="stable", ignore_index=True)
    part = rows["split"].mask(
        (rows["split"] == "train") & rows["text_group"].map(is_validation), "validation"
    )
    train, validation, held_out = (
        rows.loc[part == name, COLUMNS].reset_index(drop=True) for name in ("train", "validation", "eval")
    )
    if validation.empty:
        raise InputError(
            f"{uri} has only {len(train)} labelled tweets on the train side, none of them in the validation "
            "part: ingest more"
        )
    if max_train_rows is not None:
        train, validation = sample_rows(train, max_train_rows), sample_rows(validation, max_train_rows)
    dumps = tuple(sorted(set(rows["dump_sha256"].dropna())))
    return LabelledTweets(train, validation, held_out, uri, table.version(), text_column, dumps)


def is_validation(text_group: str) -> bool:
    """Return whether a text group of the train side is in the validation part."""
    number = int.from_bytes(hashlib.sha256(f"validation:{text_group}".encode()).digest()[:4], "big")
    return number < VALIDATION_SHARE * 2**32


def is_held_out(text_group: str) -> bool:
    """Return whether a text group is used for evaluation or validation once it has a label."""
    return is_eval(text_group) or is_validation(text_group)


def sample_rows(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return about `count` rows, the same at each call. Each label keeps its share and at least one row."""
    if len(rows) <= count:
        return rows
    rank = rows["tweet_id"].map(lambda tweet_id: hashlib.sha256(str(tweet_id).encode()).hexdigest())
    shuffled = rows.loc[rank.sort_values().index]
    parts = [part.head(max(1, round(count * len(part) / len(rows)))) for _, part in shuffled.groupby("label")]
    return pd.concat(parts).sort_index().reset_index(drop=True)


def open_table(uri: str, version: int | None) -> DeltaTable:
    """Return a Delta table at a version, None for the latest.

    Raises:
        InputError: the table or version does not exist.
        TransientError: HDFS does not answer, or a file of the table cannot be read.
    """
    address = urlsplit(uri)
    if address.scheme == "hdfs" and address.port is not None:  # no port: a name service of HADOOP_CONF_DIR
        # If the port is closed, deltalake's HDFS client hangs for more than 100 s.
        try:
            socket.create_connection(
                (address.hostname or "", address.port), timeout=CONNECT_TIMEOUT_SECONDS
            ).close()
        except OSError as error:
            raise TransientError(
                f"no NameNode answers at {address.hostname}:{address.port} ({error}): is HDFS running?"
            ) from None
    try:
        table = DeltaTable(uri)
    except (TableNotFoundError, ValueError) as error:
        raise InputError(
            f"no Delta table at {uri} ({_first_line(error)}): run the DAG that writes it"
        ) from None
    except (DeltaError, OSError) as error:  # for example, a DataNode does not answer
        raise TransientError(f"the Delta table {uri} cannot be read ({_first_line(error)})") from None
    if version is not None:
        latest = table.version()
        if not 0 <= version <= latest:
            raise InputError(f"{uri} has no version {version}; the latest is {latest}")
        try:
            table.load_as_version(version)
        except (DeltaError, OSError, ValueError) as error:
            raise TransientError(
                f"version {version} of {uri} cannot be read; the latest is {latest} ({_first_line(error)})"
            ) from None
    return table


def _validate(rows: pd.DataFrame, uri: str, text_column: str) -> None:
    if rows.empty:
        raise NothingToDo(f"{uri} has no labelled tweet: ingest a dump with labels")
    if unknown := sorted(set(rows["label"]) - set(LABELS)):
        raise InputError(f"{uri} has labels other than -1, 0 and 1: {unknown[:5]}")
    if nulls := int(rows["text"].isna().sum()):
        raise InputError(f"{uri} has {nulls} labelled rows whose {text_column} is null")
    for side in ("train", "eval"):
        labels = set(rows.loc[rows["split"] == side, "label"])
        if missing := [f"{label} ({name})" for label, name in LABEL_NAMES.items() if label not in labels]:
            raise InputError(
                f"no {side} row of {uri} has the label {', '.join(missing)}; each label is required"
            )
    sides_per_group = rows.groupby("text_group")["split"].nunique()
    if leaks := int((sides_per_group > 1).sum()):
        raise InputError(
            f"{leaks} text groups of {uri} are on both sides of the split, which makes an evaluation invalid"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
