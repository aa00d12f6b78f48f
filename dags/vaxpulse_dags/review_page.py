"""Page of `review_dump`: why a dump is held, how it was read, and the questions about it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from contracts.labels import LABEL_NAMES, UNANSWERED
from contracts.untrusted_text import mask, shorten
from vaxpulse_dags.tables import read_json
from vaxpulse_dags.untrusted import MAX_LENGTH, build_table, escape, show

FIGURES = {
    "records": "records",
    "accepted": "accepted",
    "known": "accepted, with an id of an earlier delivery",
    "changed_texts": "accepted, with an id of an earlier delivery and another text",
    "duplicates": "duplicates",
    "quarantined": "quarantined",
    "quarantined_lines": "lines in quarantined records",
    "contradicting_ids": "ids with contradicting labels",
    "negative": "negative",
    "neutral": "neutral",
    "positive": "positive",
    "median_text_length": "median text length, characters",
    "label_distance": "distance of the label shares from earlier dumps",
    "first_created_at": "first tweet written at",
    "last_created_at": "last tweet written at",
}
SAMPLES = 5
RECORDS_PER_REASON = 3


def build_page(dump: dict[str, Any], rejected: list[dict[str, Any]]) -> str:
    """Return the page of a held dump as Markdown.

    Args:
        dump: row of `dumps`.
        rejected: sampled rows of `quarantine`, with the columns reason, records and raw_record.
    """
    return "\n\n".join(
        [
            f"**{escape(shorten(dump['source'], MAX_LENGTH))}**, delivered "
            f"{dump['delivered_at']:%Y-%m-%d %H:%M} UTC, is held: {escape(mask(dump['reason']))}",
            *describe_questions(read_json(dump, "questions", []), read_json(dump, "mapping", {})),
            *describe_reading(read_json(dump, "format", {}), read_json(dump, "mapping", {})),
            f"**Figures.** With this mapping {dump['accepted']:,} of {dump['records']:,} records would be "
            f"accepted, and {dump['quarantined']:,} quarantined.",
            build_table(["figure", "value"], [(text, number(dump.get(c))) for c, text in FIGURES.items()]),
            *describe_rejected(rejected),
            *describe_notes(read_json(dump, "notes", [])),
            "The file is in the folder `raw` of HDFS, the rejected records are in the table `quarantine`, "
            f"both with the SHA-256 `{dump['dump_sha256']}`.",
        ]
    )


def number(value: Any) -> str:
    """Return a figure as text. A missing figure is a hyphen."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "-" if value is None else str(value)


def describe_questions(questions: list[dict[str, Any]], mapping: dict[str, Any]) -> Iterator[str]:
    """Yield each question, and sampled values of the candidate columns, or of all columns without one."""
    if questions:
        yield "**Questions.** Answer them in the field *Mapping*, which contains the proposal."
    for place, question in enumerate(questions, start=1):
        options = ", ".join(map(show, question.get("options") or []))
        yield f"{place}. `{question['subject']}`: {escape(mask(question['text']))}" + (
            f" Possible values: {options}." if options else ""
        )
        samples = question.get("samples") or {}
        proposed = mapping.get(question["subject"])  # a list for the question about the header
        candidates = {*(question.get("options") or []), str(proposed)} & samples.keys()
        if samples:
            header = ["column", *(f"value {i}" for i in range(1, SAMPLES + 1))]
            names = [name for name in samples if name in candidates or not candidates]
            yield build_table(header, [(name, *samples[name][:SAMPLES]) for name in names])


def describe_reading(format_: dict[str, Any], mapping: dict[str, Any]) -> Iterator[str]:
    """Yield the detected format, the column of each part of a tweet, and the meaning of each label value."""
    if format_:
        values = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in format_.items() if v}
        yield "**Format.** " + "; ".join(f"{show(name)}: {show(value)}" for name, value in values.items())
    columns = {name: value for name, value in mapping.items() if name not in ("header", "labels")}
    if columns:
        yield "**Proposed mapping.**"
        yield build_table(["part", "column"], [(n, "-" if v is None else v) for n, v in columns.items()])
    if labels := mapping.get("labels"):
        meanings = {None: "no label", UNANSWERED: "asked about"} | LABEL_NAMES
        yield build_table(["label value", "meaning"], [(v, meanings[label]) for v, label in labels.items()])


def describe_rejected(rejected: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a table of the reasons for which records are quarantined, with sampled records."""
    reasons: dict[str, list[str]] = {}
    for row in rejected:
        reasons.setdefault(row["reason"], [f"{row['records']:,}"]).append(row["raw_record"])
    if reasons:
        yield "**Quarantined records.**"
        header = ["reason", "records", *(f"record {i}" for i in range(1, RECORDS_PER_REASON + 1))]
        yield build_table(header, [(reason, *cells) for reason, cells in reasons.items()])


def describe_notes(notes: list[str]) -> Iterator[str]:
    """Yield the notes as a list."""
    if notes:
        yield "**Notes.**"
        yield "\n".join(f"- {escape(mask(note))}" for note in notes)
