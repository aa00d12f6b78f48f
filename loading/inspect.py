"""Report what would happen to a dump, and write nothing.

    python -m loading.inspect FILE [--mapping JSON] [--json]

Exit status: 0 it can be loaded, 2 a user must answer a question first, 65 it is refused, 64 the command line
is wrong.
"""

import argparse
import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from contracts.exit_status import BAD_INPUT, DONE, InputError
from contracts.labels import CLASS_NAMES
from loading.description import describe_mapping, describe_reasons, describe_totals, join_questions
from loading.detection.containers import Limits
from loading.formats.dump_bytes import RefusedDumpError
from loading.inspection import Inspection, Opener, Totals, read_dump, sorted_questions
from loading.mapping.model import GivenMapping, Question, Subject
from loading.validation.quality_gate import MIN_ACCEPTED_SHARE

ASK = 2
EXIT_STATUSES = {"load": DONE, "ask": ASK, "refuse": BAD_INPUT}
# Part of the mapping that is most likely wrong if a reason makes most records useless.
SUBJECT_OF_REASON: tuple[tuple[str, Subject], ...] = (
    ("tweet_id", "tweet_id"),
    ("text is", "text"),
    ("label", "label"),
)
Report = dict[str, Any]


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose exit status for errors is not 2, which means that a user must answer."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit."""
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: error: {message}\n")


def report(opener: Opener, given: GivenMapping, limits: Limits | None = None) -> Report:
    """Return what would happen to a dump; docs/dumps.md (*JSON report*) describes the keys."""
    try:
        return describe(read_dump(opener, given, limits))
    except RefusedDumpError as error:
        return refusal(f"Refused: {error}.")
    except InputError as error:
        return refusal(f"Refused: {error}")


def refusal(message: str) -> Report:
    """Return the report of a dump that cannot be read."""
    counts = {"records": 0, "accepted": 0, "quarantined": 0, "labels": [0, 0, 0], "first": None, "last": None}
    start = {"outcome": "refuse", "asks": [], "message": message, "format": {}, "mapping": {}}
    return {**start, **counts, "notes": [], "preview": []}


def describe(found: Inspection) -> Report:
    """Return the report of a dump that was read."""
    totals = found.totals
    accepted, labels, contradicting = totals.count_tweets()
    questions = [*found.questions]
    reasons = describe_reasons(totals)
    if not questions and 0 < accepted < MIN_ACCEPTED_SHARE * totals.records:
        questions.append(_question_about_loss(totals, accepted, reasons))
    questions = sorted_questions(questions)
    notes = [*found.proposal.notes, *describe_totals(found, contradicting)]
    outcome = "ask" if questions else "load" if accepted else "refuse"
    message = {
        "load": f"{accepted:,} tweets of {totals.records:,} records can be loaded.",
        "ask": "A user must answer: " + join_questions(questions),
        "refuse": f"Refused: none of the {totals.records:,} records is a tweet: {reasons}.",
    }[outcome]
    details = describe_totals(found, contradicting) + (
        [f"In quarantine: {reasons}"] if reasons and outcome == "load" else []
    )
    return {
        "outcome": outcome,
        "asks": list(dict.fromkeys(question.subject for question in questions)),
        "message": " ".join([message, *(f"{detail[:1].upper()}{detail[1:]}." for detail in details)]),
        "format": found.dump.format,
        "mapping": describe_mapping(found),
        "records": totals.records,
        "accepted": accepted,
        "quarantined": totals.rejected,
        "labels": labels,
        "first": _time(totals.first),
        "last": _time(totals.last),
        "notes": notes,
        "preview": [tweet | {"created_at": _time(tweet["created_at"])} for tweet in totals.preview],
        "details": {
            "duplicates": totals.records - totals.rejected - accepted,
            "quarantined_lines": totals.lost_lines,
            "contradicting_ids": contradicting,
            "reasons": dict(totals.reasons.most_common()),
            "questions": [vars(question) for question in questions],
        },
    }


def _question_about_loss(totals: Totals, accepted: int, reasons: str) -> Question:
    duplicates = totals.records - totals.rejected - accepted
    if duplicates > totals.rejected:
        lost = f"{duplicates:,} of {totals.records:,} records have the id of a later record"
        return Question("tweet_id", f"{lost}. Are the ids right?")
    reason = totals.reasons.most_common(1)[0][0]
    subject = next((subject for start, subject in SUBJECT_OF_REASON if reason.startswith(start)), "header")
    lost = f"{totals.rejected:,} of {totals.records:,} records would be quarantined"
    return Question(subject, f"{lost}: {reasons}. Is the mapping right?")  # type: ignore[arg-type]


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def print_report(result: Report) -> None:
    """Write a report for a person."""
    print(f"{result['outcome']}: {result['message']}")
    for name in ("format", "mapping"):
        if result[name]:
            print(f"{name}: {json.dumps(result[name], ensure_ascii=False)}")
    if result["records"]:
        counts = ", ".join(
            f"{name} {count:,}" for name, count in zip(CLASS_NAMES, result["labels"], strict=True)
        )
        print(
            f"records: {result['records']:,}, accepted {result['accepted']:,}, "
            f"quarantined {result['quarantined']:,}"
        )
        print(f"labels: {counts}; written from {result['first']} to {result['last']}")
    for note in result["notes"]:
        print(f"note: {note}")
    for tweet in result["preview"]:
        print(f"tweet: {json.dumps(tweet, ensure_ascii=False)}")


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m loading.inspect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the dump")
    parser.add_argument(
        "--mapping", default="{}", help='meaning of the columns, for example \'{"text": "tweet"}\''
    )
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    parser.add_argument(
        "--details", action="store_true", help="add duplicates, reasons and questions to the JSON"
    )
    parser.add_argument(
        "--max-decompressed-gib",
        type=float,
        default=Limits.max_bytes / 2**30,
        help="bound on the decompressed size (default: %(default)s)",
    )
    parser.add_argument(
        "--max-decompression-ratio",
        type=int,
        default=Limits.max_ratio,
        help="bound on the decompressed size relative to the file (default: %(default)s)",
    )
    parser.add_argument(
        "--max-text-length",
        type=int,
        default=Limits.max_text_length,
        help="quarantine records with longer texts, in characters (default: %(default)s)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = arg_parser().parse_args(arguments)
    limits = Limits(
        int(options.max_decompressed_gib * 2**30),
        options.max_decompression_ratio,
        max_text_length=options.max_text_length,
    )
    try:
        given = GivenMapping.parse(options.mapping)
        result = report(lambda: options.file.open("rb"), given, limits)
    except InputError as error:
        result = refusal(f"Refused: {error}")
    except OSError as error:
        result = refusal(f"Refused: {options.file} cannot be read ({error.strerror}).")
    if not options.details:
        result.pop("details", None)
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        print_report(result)
    return EXIT_STATUSES[result["outcome"]]


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly if the reader of a pipe ends, like `head`
    sys.exit(main())
