"""Propose the mapping of a dump from its column names and sampled values, and the questions that remain."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from loading.column_names import plain_name
from loading.formats.dump_bytes import RefusedDumpError
from loading.mapping import columns, ids
from loading.mapping.columns import Sample
from loading.mapping.dates import (
    MIN_PARSED_SHARE,
    DateFormats,
    detect_formats,
    normalise_format,
    to_times,
)
from loading.mapping.model import TEXT_ID, ColumnMapping, GivenMapping, Question, is_missing, label_key
from loading.validation.tweet_ids import cure
from loading.vocabulary import TEXT_TIERS

LONG_NUMBER = re.compile(r"\d{8,20}")  # as ids of tweets are
ZONE = re.compile(r"(?:Z|UTC|GMT|[+-]\d\d:?\d\d)(?: \d{4})?\s*$")  # Twitter's v1 has the year after it
MAX_TEXTS_PER_ID = 1.5
MIN_RECORDS_FOR_REPEATS = 20
DESCRIBED_COLUMNS = 6


@dataclass(frozen=True)
class Proposal:
    """The best mapping of a dump, and what a user must say before it is used.

    Attributes:
        mapping: the best mapping.
        questions: open questions.
        notes: what a user should know, for example columns that are ignored.
        labels_answered: whether a user has given the meaning of the label values.
    """

    mapping: ColumnMapping
    questions: tuple[Question, ...]
    notes: tuple[str, ...]
    labels_answered: bool = False

    @property
    def canonical(self) -> bool:
        """Return whether the columns have the names of the platform, whose label coding is known."""
        names = plain_name(self.mapping.tweet_id), plain_name(self.mapping.text)
        return names[0] == "tweetid" and names[1] in TEXT_TIERS[0]


def propose_mapping(
    sample: Sample,
    given: GivenMapping | None = None,
) -> Proposal:
    """Return the mapping of a dump.

    Args:
        sample: values of the first records by column.
        given: what a user has said, about this dump or earlier about the same header.

    Raises:
        RefusedDumpError: the dump has no texts.
        InputError: the user has named a column that the dump does not have.
    """
    given = given or GivenMapping()
    header = list(sample)
    given.check_columns(header)
    questions: list[Question] = []
    text = _choose_text(sample, given, questions)
    tweet_id = _choose_id(sample, text, given, questions)
    label = _choose_label(sample, given, questions)
    dates, created_at = _choose_dates(sample, tweet_id, given, questions)
    labels = given.parts.get("labels")
    mapping = ColumnMapping(
        tweet_id,
        text,
        label,
        None if labels is None else {label_key(value): meaning for value, meaning in labels.items()},
        given.parts["agreement"] if given.has("agreement") else columns.agreement_column(header),
        created_at,
        dates.formats,
        given.parts["lang"] if given.has("lang") else columns.lang_column(header),
        tweet_id != TEXT_ID and ids.are_snowflakes(sample[tweet_id]),
        dates.alternatives,
    )
    notes = _describe_columns(header, mapping) + _describe_dates(sample, mapping, dates)
    return Proposal(mapping, tuple(questions), tuple(notes), labels is not None)


def question_about_header(first_record: Sequence[str]) -> Question:
    """Return the question for the names of the columns of a dump without header."""
    # The question appears in logs, so it contains no user names.
    shown = ", ".join(
        repr(re.sub(r"@\w+", "<user>", field)[:40]) for field in first_record[:DESCRIBED_COLUMNS]
    )
    return Question(
        "header", f"The dump has no header; its first record is {shown}. Enter the names of the columns."
    )


def _choose_text(sample: Sample, given: GivenMapping, questions: list[Question]) -> str:
    if "text" in given.parts:
        return str(given.parts["text"])
    named = columns.text_columns(sample)
    if len(named) == 1:
        return named[0]
    options = named or columns.text_like_columns(sample)
    if not options:
        values = [value for column in sample.values() for value in column if not is_missing(value)]
        if len(sample) == 1 and all(
            value is not None and LONG_NUMBER.fullmatch(value.strip()) for value in values
        ):
            raise RefusedDumpError(
                "it contains ids of tweets only; download the texts (hydrate the ids) first"
            )
        raise RefusedDumpError(
            f"it has no column with texts; its columns are {', '.join(map(repr, sample))[:400]}"
        )
    known = "several columns may be the text" if named else "no column has a known name for the text"
    questions.append(
        Question(
            "text",
            f"Which column contains the texts? {known}: {', '.join(map(repr, options))}.",
            tuple(options),
        )
    )
    return options[0]


def _choose_id(sample: Sample, text: str, given: GivenMapping, questions: list[Question]) -> str:
    if "tweet_id" in given.parts:
        return str(given.parts["tweet_id"])
    named = columns.id_columns(list(sample))
    problems: dict[str, str] = {}
    for column in named:
        problem = ids.problem_of(sample[column]) or _problem_of_repeats(sample[column], sample[text])
        if problem is None:
            return column
        problems[column] = problem
    if not sample[text]:
        return named[0] if named else TEXT_ID
    others = [column for column in sample if column not in named and ids.problem_of(sample[column]) is None]
    reason = (
        " ".join(
            f"The ids in the column {column!r} cannot be used: {problem}."
            for column, problem in problems.items()
        )
        or "No column has a known name for the ids."
    )
    questions.append(
        Question(
            "tweet_id",
            f"{reason} Which column contains the ids of the tweets? {TEXT_ID} derives ids from the texts.",
            (TEXT_ID, *others),
        )
    )
    return TEXT_ID


def _problem_of_repeats(values: Sequence[str | None], texts: Sequence[str | None]) -> str | None:
    pairs = {(i, t) for i, t in zip(values, texts, strict=False) if not is_missing(i)}
    distinct = len({i for i, _ in pairs})
    if len(values) >= MIN_RECORDS_FOR_REPEATS and len(pairs) > MAX_TEXTS_PER_ID * distinct:
        return f"{distinct:,} of them belong to {len(pairs):,} different texts"
    return None


def _choose_label(sample: Sample, given: GivenMapping, questions: list[Question]) -> str | None:
    if given.has("label"):
        return given.parts["label"]  # type: ignore[no-any-return]
    named = columns.label_columns(list(sample))
    filled = [column for column in named if any(not is_missing(value) for value in sample[column])] or named[
        :1
    ]
    if any(sample[column] != sample[filled[0]] for column in filled[1:]):
        questions.append(
            Question(
                "label", f"Which column contains the labels: {', '.join(map(repr, filled))}?", tuple(filled)
            )
        )
    if not named and (one_hot := columns.one_hot_columns(sample)):
        questions.append(
            Question(
                "label",
                f"There is a column for each label: {', '.join(map(repr, one_hot))}. This cannot be read: "
                "deliver the dump with one column of labels, or answer null to load it without labels.",
            )
        )
    return filled[0] if filled else None


def _choose_dates(
    sample: Sample, tweet_id: str, given: GivenMapping, questions: list[Question]
) -> tuple[DateFormats, str | None]:
    named = [given.parts["created_at"]] if given.has("created_at") else columns.time_columns(list(sample))
    named = [column for column in named if column is not None]
    date_format = given.parts.get("date_format")
    if date_format is not None and named:
        return _check_format(sample[named[0]], date_format, questions), named[0]
    reference = None
    if tweet_id != TEXT_ID and ids.are_snowflakes(sample[tweet_id]):
        cured = [cure(value or "") for value in sample[tweet_id]]
        reference = ids.snowflake_times(pa.array(cured, pa.string())).to_pylist()
    best, chosen = DateFormats((), (), 0.0), named[0] if given.has("created_at") and named else None
    for column in named:
        found = detect_formats(
            sample[column], reference if reference and len(reference) == len(sample[column]) else None
        )
        if found.parsed_share > best.parsed_share and found.parsed_share >= MIN_PARSED_SHARE:
            best, chosen = found, column
            if best.parsed_share == 1.0:
                break
    if best.alternatives:
        questions.append(question_about_dates(sample[str(chosen)], str(chosen), best.alternatives))
    return best, chosen


def question_about_dates(values: Sequence[str | None], column: str, alternatives: Sequence[str]) -> Question:
    """Return the question for the format of dates that can be read in several ways."""
    present = [value for value in values if not is_missing(value)]
    readings = [to_times(pa.array(present, pa.string()), [name]).to_pylist() for name in alternatives]
    place = next((i for i, times in enumerate(zip(*readings, strict=True)) if len(set(times)) > 1), 0)
    example = present[place]
    times = [
        f"{date_format} ({reading[place]:%d %B %Y})"
        for date_format, reading in zip(alternatives, readings, strict=True)
        if reading[place] is not None
    ]
    return Question(
        "created_at",
        f"Which date_format has the column {column!r}? "
        f"{example!r} may be {' or '.join(times or alternatives)}.",
        tuple(alternatives),
    )


def _check_format(values: Sequence[str | None], date_format: str, questions: list[Question]) -> DateFormats:
    present = pa.array([value for value in values if not is_missing(value)], pa.string())
    parsed = len(present) - to_times(present, [date_format]).null_count
    if len(present) and parsed < MIN_PARSED_SHARE * len(present):
        questions.append(
            Question(
                "created_at",
                f"The date_format {date_format!r} fits {parsed:,} of {len(present):,} sampled dates. "
                f"Which format has {present[0].as_py()!r}?",
            )
        )
    return DateFormats((normalise_format(date_format),), (), parsed / max(len(present), 1))


def _describe_columns(header: Sequence[str], mapping: ColumnMapping) -> list[str]:
    used = mapping.columns()
    notes = [f"column {name!r} is ignored" for name in header if name not in used]
    if mapping.label is None:
        notes.append("the dump has no column 'label'")
    if mapping.agreement is None:
        notes.append("the dump has no column 'agreement'")
    return notes


def _describe_dates(sample: Sample, mapping: ColumnMapping, dates: DateFormats) -> list[str]:
    ignored = [name for name in columns.time_columns(list(sample)) if name != mapping.created_at]
    unparsed = [name for name in ignored if detect_formats(sample[name]).parsed_share < MIN_PARSED_SHARE]
    notes = [f"the dates in column {name!r} have an unknown format" for name in unparsed if sample[name]]
    if mapping.created_at is None or not dates.formats:
        return notes
    written = [value for value in sample[mapping.created_at] if not is_missing(value)]
    if not all(ZONE.search(value or "") for value in written):
        notes.append(f"times in column {mapping.created_at!r} without a time zone are taken as UTC")
    return notes
