"""How a dump was read, for people: the mapping, notes, and questions with samples."""

import json
from collections.abc import Sequence
from typing import Any

from contracts.labels import UNANSWERED
from loading.inspection import Inspection, Totals, sorted_questions
from loading.mapping.labels import NUMBERS, find_label
from loading.mapping.model import Question, is_missing, label_key
from loading.validated_dump import ValidatedDump

MAX_REASONS = 3
SAMPLED_VALUES = 5
MAX_SAMPLED_COLUMNS = 30
MAX_VALUE_LENGTH = 120


def describe_reasons(totals: Totals) -> str:
    """Return the most frequent reasons for which records are rejected, with their counts."""
    listed = [f"{reason} ({count:,})" for reason, count in totals.reasons.most_common(MAX_REASONS)]
    more = len(totals.reasons) - MAX_REASONS
    return "; ".join(listed) + (f"; {more} other reasons" if more > 0 else "")


def describe_totals(found: Inspection, contradicting: int) -> list[str]:
    """Return notes about a dump that was read to its end.

    Args:
        found: how it was read.
        contradicting: number of ids with several labels.
    """
    totals, notes = found.totals, list(found.notes)
    if contradicting:
        notes.append(f"{contradicting:,} ids have labels that contradict each other; the last record counts")
    if totals.lost_lines > totals.rejected:
        notes.append(f"the {totals.rejected:,} quarantined records have {totals.lost_lines:,} lines")
    if totals.unparsed_dates:
        notes.append(
            f"{totals.unparsed_dates:,} dates in column {found.proposal.mapping.created_at!r} "
            "have another format"
        )
    if totals.repeated_headers:
        notes.append(f"the header occurs {totals.repeated_headers:,} more times")
    if found.dump.skipped_lines:
        notes.append(f"lines skipped before the header: {found.dump.skipped_lines:,}")
    encoding = found.dump.format.get("encoding", "utf-8")
    if not encoding.startswith("utf"):
        notes.append(f"the encoding is taken to be {encoding}")
    if found.dump.dialect is not None and found.dump.dialect.quoting == "none":
        notes.append("quotes are part of the texts: the dump was written without quoting")
    return notes


def describe_mapping(found: Inspection) -> dict[str, Any]:
    """Return the mapping as `--mapping` accepts it, with the meaning of each label value.

    A value whose meaning is asked about is UNANSWERED, which `--mapping` does not accept: the question
    remains if a user confirms the mapping without a change. All known numbers are listed if one occurs.
    """
    mapping = found.proposal.mapping
    values = found.totals.label_values
    is_asked = any(
        question.subject == "label" and set(question.options) <= set(values) for question in found.questions
    )
    labels: dict[str, int | str | None] = {}
    for value in values:
        label, key = find_label(value, mapping.labels), label_key(value)
        is_known = not label.startswith("?")
        if is_asked and (not is_known or key in NUMBERS):
            labels[key] = UNANSWERED
        elif is_known:
            labels[key] = int(label) if label else None
    has_question = any(question.subject == "label" for question in found.questions)
    if mapping.labels is None and not has_question and NUMBERS.keys() & labels.keys():
        # An approved proposal also applies to later dumps, in which the other numbers may occur.
        labels = {**NUMBERS, **labels}
    parts = mapping.as_json() | {"labels": labels or None}
    if found.dump.header_given:
        parts["header"] = found.dump.header
    return {name: value for name, value in parts.items() if value is not None or name == "label"}


def describe_questions(found: Inspection) -> list[dict[str, Any]]:
    """Return the open questions, each with the first values of the columns."""
    samples = {
        column: _first_values(values)
        for column, values in list(found.dump.sample.items())[:MAX_SAMPLED_COLUMNS]
    }
    return [
        {
            "subject": question.subject,
            "text": question.text,
            "options": list(question.options),
            "samples": samples,
        }
        for question in sorted_questions(found.questions)
    ]


def _first_values(values: Sequence[str | None]) -> list[str]:
    """Return the first different values of a column."""
    different = dict.fromkeys(value for value in values if value is not None and not is_missing(value))
    return [value[:MAX_VALUE_LENGTH] for value in list(different)[:SAMPLED_VALUES]]


def join_questions(questions: Sequence[Question]) -> str:
    """Return the texts of questions in the order in which a user answers them."""
    return " ".join(question.text for question in sorted_questions(questions))


def describe_reading(dump: ValidatedDump, note: str | None) -> dict[str, Any]:
    """Return the columns of `dumps` that tell how a dump was read, as JSON. `note` is one more note."""
    found, more = dump.found, [note] if note else []
    described: dict[str, Any] = dict.fromkeys(("format", "mapping", "questions")) | {"notes": more or None}
    if found:
        described = {
            "format": found.dump.format,
            "mapping": describe_mapping(found),
            "questions": describe_questions(found) or None,
            "notes": [*found.proposal.notes, *describe_totals(found, dump.contradicting_ids), *more] or None,
        }
    return {
        name: value if value is None else json.dumps(value, ensure_ascii=False)
        for name, value in described.items()
    }
