"""A model of loading with dicts as tables, and a store with the real tables to compare with it."""

import hashlib
import re
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from hypothesis import event

from loading import decide_dump
from loading.description import describe_reasons
from loading.files import DumpFiles
from loading.inspection import Totals
from loading.loader import Answer, Loader
from loading.tables.schemas import Tables
from loading.validated_dump import Progress
from loading.validation.quality_gate import Thresholds
from tests.properties.csv_reference import read_expected

# The gate holds dumps with more than a third of their records in quarantine.
THRESHOLDS = Thresholds(
    max_quarantined_share=0.34,
    max_label_distance=2.0,
    min_median_length=0.0,
    max_median_length=1e9,
    max_changed_texts_share=0.05,
)
FIRST_MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


# Columns that the model does not have: times of processing, and how the dump was read.
NOT_IN_MODEL = ("ingested_at", "run_id", "format", "mapping", "questions", "notes")
TABLES = ("tweets_raw", "quarantine", "dumps", "mappings", "erasures")


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def moment(minutes: int) -> datetime:
    return FIRST_MOMENT + timedelta(minutes=minutes)


def no_progress(source: str, total_bytes: int) -> Progress:
    return lambda bytes_, records: None


class Store:
    """The files of dumps and the tables, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "delivered").mkdir(parents=True)
        self.tables = Tables(*(str(folder / name) for name in TABLES))

    def files(self) -> DumpFiles:
        return DumpFiles(str(self.folder / "delivered"), str(self.folder / "raw"))

    def deliver(
        self, content: bytes, delivered_at: datetime = FIRST_MOMENT, source: str = "june.csv"
    ) -> Path:
        """Write a delivered file."""
        path = self.folder / "delivered" / f"{delivered_at:%Y%m%dT%H%M%S}.000Z-{source}"
        path.write_bytes(content)
        return path

    def loader(
        self,
        run_id: str = "run",
        thresholds: Thresholds | None = THRESHOLDS,
        answer: Answer | None = None,
    ) -> Loader:
        return Loader(self.tables, self.files(), run_id, thresholds, no_progress, answer=answer)

    def load(
        self, thresholds: Thresholds | None = THRESHOLDS, answer: Answer | None = None
    ) -> list[dict[str, Any]]:
        """Process every delivery. Return their rows in `dumps`."""
        loader = self.loader(thresholds=thresholds, answer=answer)
        return [loader.process(delivery) for delivery in loader.files.deliveries()]

    def decide(
        self,
        sha256: str,
        decision: str,
        run_id: str = "decision",
        reason: str = "checked by a person",
        mapping: str = "",
        thresholds: Thresholds | None = THRESHOLDS,
        more: Sequence[str] = (),
    ) -> int:
        places = [f"--{name.replace('_', '-')}={getattr(self.tables, name)}" for name in TABLES]
        words = [
            f"--dump-sha256={sha256}",
            f"--decision={decision}",
            f"--reason={reason}",
            f"--run-id={run_id}",
            f"--mapping={mapping}",
            "--user=ann",
            *(
                f"--{name.replace('_', '-')}={value}"
                for name, value in (asdict(thresholds) if thresholds else {}).items()
            ),
            *more,
        ]
        with patch.object(resource, "setrlimit"):  # do not limit the memory of the test process
            return decide_dump.main([*words, f"--raw={self.folder / 'raw'}", *places])

    def rows(self, name: str) -> list[dict[str, Any]]:
        uri = getattr(self.tables, name)
        if not DeltaTable.is_deltatable(uri):
            return []
        found: list[dict[str, Any]] = pa.table(
            QueryBuilder().register("t", DeltaTable(uri)).execute("SELECT * FROM t").read_all()
        ).to_pylist()
        return found

    def log(self) -> dict[tuple[str, str], tuple]:
        """Return the rows of tweets_raw by dump and id. Fail if a key is repeated."""
        rows = self.rows("tweets_raw")
        found = {
            (row["dump_sha256"], row["tweet_id"]): (
                row["safe_text"],
                row["label"],
                row["agreement"],
                row["delivered_at"],
            )
            for row in rows
        }
        assert len(found) == len(rows)
        return found

    def quarantine(self) -> dict[tuple[str, int], tuple[str, str]]:
        rows = self.rows("quarantine")
        found = {(row["dump_sha256"], row["row_number"]): (row["raw_record"], row["reason"]) for row in rows}
        assert len(found) == len(rows)
        return found

    def dumps(self) -> dict[str, dict[str, Any]]:
        rows = self.rows("dumps")
        found = {
            row["dump_sha256"]: {name: value for name, value in row.items() if name not in NOT_IN_MODEL}
            for row in rows
        }
        assert len(found) == len(rows)
        return found


@dataclass
class Model:
    """The expected content of the tables."""

    log: dict[tuple[str, str], tuple] = field(default_factory=dict)
    quarantine: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    dumps: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def load(
        self,
        content: bytes,
        delivered_at: datetime,
        source: str = "june.csv",
        *,
        held_before: str | None = None,
        reopened: bool = False,
    ) -> None:
        """Process a delivery. `held_before` is why it was held, if a person has approved it."""
        sha256 = sha256_of(content)
        if held_before is None and not reopened and sha256 in self.dumps:
            if self.dumps[sha256]["state"] != "refused":
                return
            delivered_at = self.dumps[sha256]["delivered_at"]
        self.contents[sha256] = content
        outcome = read_expected(content)
        tweets = {ident: values for _, ident, *values in outcome.tweets}
        labels = [values[1] for _, _, *values in outcome.tweets]
        counts = [labels.count(label) for label in (-1, 0, 1)]
        lengths = sorted(len(text) for _, _, text, *_ in outcome.tweets)
        earlier = [
            row
            for row in self.dumps.values()
            if row["state"] == "loaded" and (row["delivered_at"], row["dump_sha256"]) < (delivered_at, sha256)
        ]
        before = {row["dump_sha256"] for row in earlier}
        known = {ident for of, ident in self.log if of in before}
        texts = {(ident, values[0]) for (of, ident), values in self.log.items() if of in before}
        same = {ident for ident, values in tweets.items() if (ident, values[0]) in texts}
        raw = {number: record.decode("utf-8", "backslashreplace") for number, record in outcome.raw.items()}
        quarantined_lines = sum(map(count_lines, raw.values()))
        lines = quarantined_lines + sum(count_lines(text) for _, _, text, *_ in outcome.tweets)
        found: dict[str, set[float]] = {}
        for _, ident, _, label, _ in outcome.tweets:
            found.setdefault(ident, set()).update([] if label is None else [label])
        row = {
            "dump_sha256": sha256,
            "source": source,
            "delivered_at": delivered_at,
            "bytes": len(content),
            "records": outcome.records,
            "accepted": len(tweets),
            "known": len(known & set(tweets)),
            "changed_texts": len(known & set(tweets) - same),
            "quarantined_lines": quarantined_lines,
            "contradicting_ids": sum(len(labels) > 1 for labels in found.values()),
            "first_created_at": None,
            "last_created_at": None,
            "duplicates": len(outcome.tweets) - len(tweets),
            "quarantined": len(outcome.reasons),
            **dict(zip(("negative", "neutral", "positive"), counts, strict=True)),
            "median_text_length": float(lengths[len(lengths) // 2]) if lengths else None,
            "label_distance": distance(
                counts,
                [sum(other[name] for other in earlier) for name in ("negative", "neutral", "positive")],
            ),
            "reason": None,
        }
        breach = find_breach(row, quarantined_lines / max(lines, 1))
        if not outcome.records:
            row |= {"state": "refused", "reason": "it has a header and no records"}
        elif not tweets:
            reasons = Counter(
                re.sub(r"(?<= record) \d+$", "", reason) for _, reason in sorted(outcome.reasons.items())
            )
            listed = describe_reasons(Totals(reasons=reasons))
            reason = f"none of the {outcome.records} records is a tweet: {listed}"
            row |= {"state": "refused", "reason": reason}
        elif breach and held_before is None:
            row |= {"state": "held", "reason": breach}
        else:
            later = {ident for _, ident in self.log} & set(tweets) - known
            if later:
                event("a dump is loaded after a later one that shares tweets with it")
            reason = held_before and f"approved: checked by a person (held because {held_before})"
            row |= {"state": "loaded", "reason": "reopened: checked by a person" if reopened else reason}
            self.log |= {(sha256, ident): (*values, delivered_at) for ident, values in tweets.items()}
        self.quarantine |= {
            (sha256, number): (raw[number], reason) for number, reason in outcome.reasons.items()
        }
        self.dumps[sha256] = row

    def decide(self, sha256: str, decision: str) -> None:
        row = self.dumps[sha256]
        if decision == "approve":
            self.load(self.contents[sha256], row["delivered_at"], row["source"], held_before=row["reason"])
        elif decision == "reopen":
            self.load(self.contents[sha256], row["delivered_at"], row["source"], reopened=True)
        else:
            self.dumps[sha256] = row | {
                "state": {"reject": "rejected", "retract": "retracted"}[decision],
                "reason": "checked by a person",
            }
        if decision == "retract":
            self.log = {key: values for key, values in self.log.items() if key[0] != sha256}
            self.quarantine = {key: values for key, values in self.quarantine.items() if key[0] != sha256}


def count_lines(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text)) + 1


def find_breach(row: dict[str, Any], lines_share: float) -> str | None:
    """Return why a dump is held, given its counts and the share of its lines in quarantine."""
    share = row["quarantined"] / max(row["records"], 1)
    if row["accepted"] < row["records"] / 2:
        return (
            f"{row['accepted']} of {row['records']} records can be loaded, less than half: "
            f"{row['quarantined']} are in quarantine, {row['duplicates']} are duplicates"
        )
    if share > THRESHOLDS.max_quarantined_share:
        return f"{share:.1%} of the records are in quarantine, more than 34.0%"
    if lines_share > THRESHOLDS.max_quarantined_share:
        return (
            f"{lines_share:.1%} of the lines are in quarantined or suspiciously long records, more than 34.0%"
        )
    return None


def distance(own: list[int], other: list[int]) -> float | None:
    if not sum(own) or not sum(other):
        return None
    return sum(abs(a / sum(own) - b / sum(other)) for a, b in zip(own, other, strict=True)) / 2


def current_tweets(log: dict[tuple[str, str], tuple]) -> dict[str, tuple[str, float | None, float | None]]:
    """Return the text of each tweet in its latest delivery, and its latest label and agreement."""
    tweets: dict[str, tuple] = {}
    for (_, ident), (text, label, agreement, _) in sorted(
        log.items(), key=lambda item: (item[1][3], item[0][0])
    ):
        _, old_label, old_agreement = tweets.get(ident, (None, None, None))
        tweets[ident] = (
            text,
            old_label if label is None else label,
            old_agreement if agreement is None else agreement,
        )
    return tweets
