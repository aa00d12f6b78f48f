"""Send dumps through a running platform, answer their reviews, and check the tables.

    make run
    python -m tests.integration.foreign_dumps FOLDER [NAME ...]

FOLDER contains the dumps and `expected.json`: for each name the `outcome` (load, ask, refuse), the subjects
of its questions (`asks`), the `answer` of a user, and the result with it (`then`), in the form in which
`python -m loading.inspect FILE --json` reports it. Without names, TEN dumps are sent. `canonical.csv.bz2` has
the ids and texts that all dumps were made of. VAXPULSE_HOME names the platform.
"""

import argparse
import bz2
import csv
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.common import summary
from deploy.common.airflow_api import REVIEW_DAG, AirflowApi
from deploy.common.dag_runs import wait_for_run
from deploy.common.errors import CommandError
from deploy.common.steps import step, wait_until
from deploy.embedded.settings import Settings, bypass_proxy_for_loopback
from tests.integration.deliveries import answer, connect_hdfs, land, run_of, wait_for_review

TEN = (
    "kaggle_vaccination_tweets.csv",
    "kaggle_semicolons_excel_ids.csv",
    "row_number_ids.csv",
    "corona_nlp_latin1.csv",
    "sentiment140_no_header.csv",
    "twarc_v1_retweets.jsonl.gz",
    "twarc2_pages.jsonl",
    "labels_0_1_2.csv",
    "hub.parquet",
    "two_csv.zip",
)
STATES = {"loaded": "load", "held": "ask", "refused": "refuse"}
SECONDS = 600
REASON = "the columns were compared with the file"
SNOWFLAKE_EPOCH_MS = 1288834974657
USER_NAME_OR_LINK = re.compile(r"@\w|https?://", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Sent:
    """A dump in the landing folder, and its expected result."""

    name: str
    sha256: str
    want: Mapping[str, Any]


def main() -> int:
    """Send the dumps, print a line for each, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=TEN)
    arguments = parser.parse_args()
    bypass_proxy_for_loopback(os.environ)
    try:
        problems = send_and_check(Settings.load(), arguments.folder, arguments.names)
    except (CommandError, OSError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 1 if problems else 0


def send_and_check(settings: Settings, folder: Path, names: Sequence[str]) -> list[str]:
    """Send dumps, answer the questions about them, and return all differences from the expected results."""
    api, problems = AirflowApi(settings), []
    expected = json.loads((folder / "expected.json").read_text())
    hdfs = connect_hdfs(settings)
    sent = []
    for name in names:
        content = (folder / name).read_bytes()
        land(hdfs, name, content)
        sent.append(Sent(name, hashlib.sha256(content).hexdigest(), expected[name]))
    with step(f"load {len(sent)} dumps"):
        rows = wait_until(lambda: find_rows(settings, sent), SECONDS, "dumps are missing", pause_seconds=2)
    for dump in sent:
        problems += differences(dump, rows[dump.sha256], dump.want)
    held = [dump for dump in sent if rows[dump.sha256]["state"] == "held" and "answer" in dump.want]
    with step(f"answer {len(held)} reviews") as report:
        forms = {dump: wait_for_review(api, dump.sha256) for dump in held}
        for dump, form in forms.items():
            problems += find_missing_parts(dump, form["body"])
            answer(api, form, "Approve", reason=REASON, mapping=json.dumps(dump.want["answer"]))
        for form in forms.values():
            wait_for_run(api, REVIEW_DAG, run_of(form), report)
    answered = find_rows(settings, sent)
    for dump in held:
        problems += differences(dump, answered[dump.sha256], dump.want["then"])
    with step("clean_tweets"), suppress(CommandError):  # the differences are reported below
        wait_until(lambda: not compare_clean(settings), SECONDS, "tweets_clean differs", pause_seconds=2)
    for dump in sent:
        row = answered[dump.sha256]
        problems += compare_texts(settings, dump, row, read_canonical(folder))
        print(f"{dump.name}: {rows[dump.sha256]['state']}, {row['state']}, {row['accepted']:,} accepted")
    return problems + compare_clean(settings)


def find_rows(settings: Settings, sent: Sequence[Sent]) -> dict[str, dict[str, Any]] | None:
    """Return the rows of `dumps` by SHA-256 if all dumps have one."""
    rows = {row["dump_sha256"]: row for row in query(settings, "dumps", "SELECT * FROM t")}
    return rows if rows.keys() >= {dump.sha256 for dump in sent} else None


def query(settings: Settings, table: str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, none if the table does not exist."""
    opened = summary.open_table(settings, table)
    return summary.query(opened, sql) if opened else []


def differences(dump: Sent, row: Mapping[str, Any], want: Mapping[str, Any]) -> list[str]:
    """Return how the row of a dump in `dumps` differs from the expected one."""
    found = {
        "outcome": STATES.get(row["state"], row["state"]),
        "asks": [question["subject"] for question in json.loads(row["questions"] or "[]")],
        "accepted": row["accepted"],
        "quarantined": row["quarantined"],
        "labels": [row["negative"], row["neutral"], row["positive"]],
    }
    wrong = {key: (want[key], value) for key, value in found.items() if key in want and value != want[key]}
    for key in ("first", "last"):
        written = row[f"{key}_created_at"]
        if key in want and not (written and f"{written:%Y-%m-%dT%H:%M:%SZ}".startswith(want[key])):
            wrong[key] = (want[key], written)
    return [f"{dump.name}: {key}: expected {value[0]}, found {value[1]}" for key, value in wrong.items()]


def find_missing_parts(dump: Sent, body: str) -> list[str]:
    """Return what the form of a review lacks."""
    parts = ["**Questions.**", "records would be accepted", *(f"`{each}`: " for each in dump.want["asks"])]
    return [f"{dump.name}: the form lacks {part!r}" for part in parts if part not in body]


def current_tweets(settings: Settings) -> dict[str, tuple[str, int | None, datetime | None]]:
    """Return text, label and time of each tweet as `tweets_clean` must have them, from `tweets_raw`.

    The latest delivery wins; values that it lacks are those of earlier deliveries.
    """
    current: dict[str, tuple[str, int | None, datetime | None]] = {}
    for row in query(settings, "tweets_raw", "SELECT * FROM t ORDER BY delivered_at, dump_sha256"):
        _, label, created_at = current.get(row["tweet_id"], ("", None, None))
        label = label if row["label"] is None else int(row["label"])
        current[row["tweet_id"]] = (row["safe_text"], label, row["created_at"] or created_at)
    return current


def compare_clean(settings: Settings) -> list[str]:
    """Return how `tweets_clean` differs from the current tweets, and user names and links in its texts."""
    rows = query(settings, "tweets_clean", "SELECT tweet_id, safe_text, label, created_at, text FROM t")
    found = {row["tweet_id"]: (row["safe_text"], row["label"], row["created_at"]) for row in rows}
    wanted = current_tweets(settings)
    problems = [
        f"tweets_clean: {tweet_id}: expected {wanted.get(tweet_id)}, found {found.get(tweet_id)}"
        for tweet_id in wanted.keys() | found.keys()
        if wanted.get(tweet_id) != found.get(tweet_id)
    ]
    return problems + [
        f"tweets_clean: {row['tweet_id']} has a user name or a link"
        for row in rows
        if USER_NAME_OR_LINK.search(row["text"])
    ]


def read_canonical(folder: Path) -> list[dict[str, str]]:
    """Return the records that the dumps were made of."""
    content = bz2.decompress((folder / "canonical.csv.bz2").read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


def fold(text: str) -> str:
    """Return a text as it is in all encodings and formats: Latin-1, words with single blanks."""
    return " ".join(text.encode("latin-1", "replace").decode("latin-1").split())


def compare_texts(
    settings: Settings, dump: Sent, row: Mapping[str, Any], canonical: Sequence[Mapping[str, str]]
) -> list[str]:
    """Return how the tweets of a dump in `tweets_raw` differ from the records that it was made of."""
    sql = f"SELECT tweet_id, safe_text, label, created_at FROM t WHERE dump_sha256 = '{dump.sha256}'"
    rows = query(settings, "tweets_raw", sql)
    if row["state"] != "loaded":
        return [f"{dump.name} is {row['state']} and has tweets"] if rows else []
    problems = []
    if sorted(fold(each["safe_text"]) for each in rows) != sorted(
        fold(each["safe_text"]) for each in canonical
    ):
        problems.append(f"{dump.name}: texts differ")
    if "@text" not in json.dumps(dump.want):
        ids = {each["tweet_id"]: fold(each["safe_text"]) for each in rows}
        if ids != {each["tweet_id"]: fold(each["safe_text"]) for each in canonical}:
            problems.append(f"{dump.name}: ids differ")
        if any(each["created_at"] != written_at(each["tweet_id"]) for each in rows):
            problems.append(f"{dump.name}: times differ")
    return problems


def written_at(tweet_id: str) -> datetime:
    """Return the time in a Snowflake id."""
    return datetime.fromtimestamp(((int(tweet_id) >> 22) + SNOWFLAKE_EPOCH_MS) / 1000, UTC)


if __name__ == "__main__":
    sys.exit(main())
