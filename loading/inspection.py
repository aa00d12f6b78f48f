"""Read a dump with its best mapping and count its records. Write nothing."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.exit_status import InputError
from contracts.labels import LABELS
from loading.detection.containers import Limits
from loading.formats.dump_bytes import RefusedDumpError
from loading.mapping.apply import MAX_COUNTED_LENGTH, MappedBatch, joined_test, layout_of, map_batches
from loading.mapping.columns import guess_header, is_header
from loading.mapping.labels import question_about_labels
from loading.mapping.model import SUBJECTS, GivenMapping, Question
from loading.mapping.proposal import Proposal, propose_mapping, question_about_header
from loading.readers.open_dump import OpenedDump, open_dump

Opener = Callable[[], IO[bytes]]
Recall = Callable[[Sequence[str]], GivenMapping | None]
PREVIEWED_TWEETS = 5
NO_LABEL = 9
NO_HASHES = np.zeros(0, np.uint64)


@dataclass
class Totals:
    """What a dump contains, batch by batch.

    `label_counts` and `text_lengths` count all valid tweets, duplicates included; see MappedBatch.
    """

    records: int = 0
    rejected: int = 0
    lost_lines: int = 0
    unparsed_dates: int = 0
    repeated_headers: int = 0
    label_values: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    preview: list[dict[str, Any]] = field(default_factory=list)
    alternatives: npt.NDArray[np.int64] | None = None
    first: datetime | None = None
    last: datetime | None = None
    hashes: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int8]] = field(default_factory=list)
    label_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LABELS), np.int64))
    text_lengths: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(MAX_COUNTED_LENGTH + 1, np.int64)
    )
    lines: int = 0
    suspicious_lines: int = 0

    def add(self, batch: MappedBatch) -> None:
        """Add a batch."""
        self.records += batch.records
        self.rejected += batch.rejected.num_rows
        self.lost_lines += batch.lost_lines
        self.unparsed_dates += batch.unparsed_dates
        self.repeated_headers += batch.repeated_headers
        self.label_values += batch.label_values
        if batch.alternatives is not None:
            self.alternatives = (
                batch.alternatives if self.alternatives is None else self.alternatives + batch.alternatives
            )
        for reason in batch.rejected.column("reason").to_pylist():
            self.reasons[re.sub(r"(?<= record) \d+$", "", reason)] += 1
        tweets = batch.tweets
        self.hashes.append(batch.id_hashes)
        self.text_lengths += batch.text_lengths
        self.lines += batch.lines
        self.suspicious_lines += batch.suspicious_lines
        labels = tweets.column("label").fill_null(NO_LABEL).cast(pa.int8()).to_numpy(zero_copy_only=False)
        self.labels.append(labels)
        self.label_counts += [np.count_nonzero(labels == label) for label in LABELS]
        if tweets.num_rows > tweets.column("created_at").null_count:
            span = pc.min_max(tweets.column("created_at")).as_py()
            self.first = min(filter(None, (self.first, span["min"])))
            self.last = max(filter(None, (self.last, span["max"])))
        if len(self.preview) < PREVIEWED_TWEETS:
            names = [name for name in tweets.schema.names if name != "row_number"]
            self.preview += tweets.select(names).slice(0, PREVIEWED_TWEETS - len(self.preview)).to_pylist()

    def decide_dates(self, alternatives: Sequence[str]) -> str | None:
        """Return the only one of alternative date formats that fits all dates that one of them fits."""
        if self.alternatives is None or not alternatives:
            return None
        *counts, fitted = self.alternatives.tolist()
        best = [name for name, count in zip(alternatives, counts, strict=True) if count == fitted]
        return best[0] if len(best) == 1 else None

    def count_tweets(self) -> tuple[int, list[int], int]:
        """Return the number of ids, the labels of their last records, and the number of contradicting ids."""
        hashes = np.concatenate([NO_HASHES, *self.hashes])
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        is_last = np.append(hashes[1:] != hashes[:-1], True)[: len(hashes)]
        labels = np.concatenate([np.zeros(0, np.int8), *self.labels])[order]
        counts = [int(np.count_nonzero(labels[is_last] == label)) for label in LABELS]
        is_labelled = labels != NO_LABEL
        hashes, labels = hashes[is_labelled], labels[is_labelled]
        differs = (hashes[1:] == hashes[:-1]) & (labels[1:] != labels[:-1])
        return int(np.count_nonzero(is_last)), counts, len(np.unique(hashes[1:][differs]))


@dataclass(frozen=True)
class Inspection:
    """Result of an inspection: the mapping of a dump, its counts, and the open questions."""

    dump: OpenedDump
    proposal: Proposal
    totals: Totals
    questions: tuple[Question, ...]
    notes: tuple[str, ...] = ()


def read_dump(
    opener: Opener,
    given: GivenMapping,
    limits: Limits | None = None,
    create_totals: Callable[[], Totals] = Totals,
    recall: Recall = lambda header: None,
) -> Inspection:
    """Read a whole dump with its best mapping.

    Args:
        opener: opens the dump at its beginning. It is called again if the beginning of the dump has been
            misleading.
        given: what a user has said about the dump.
        limits: maximum sizes of the dump and of a text.
        create_totals: creates what receives each batch (`add`), once for each reading.
        recall: returns the mapping that a user gave earlier for a header. `given` takes precedence. It is
            ignored if it does not fit the dump.

    Raises:
        RefusedDumpError: the dump contains no readable tweets.
        InputError: the mapping names a column that the dump does not have.
    """
    with opener() as file:
        dump = open_dump(file, given.header, limits)
        if not dump.may_lack_header or is_header(dump.first_record):
            return _read_mapped(dump, opener, given, limits, create_totals, recall)
    question = question_about_header(dump.first_record)
    with opener() as file:
        numbered = open_dump(file, [f"column_{i}" for i in range(1, len(dump.header) + 1)], limits)
        guessed = GivenMapping({**given.parts, "header": guess_header(numbered.sample)})
    found = read_dump(opener, guessed, limits, create_totals)
    return replace(found, questions=(question, *found.questions))


def _read_mapped(
    dump: OpenedDump,
    opener: Opener,
    given: GivenMapping,
    limits: Limits | None,
    create_totals: Callable[[], Totals],
    recall: Recall,
) -> Inspection:
    given, proposal, notes = _propose(dump, given, recall)
    totals = create_totals()
    layout = layout_of(dump.header, proposal.mapping)
    batches = dump.batches(proposal.mapping.columns(), joined_test(layout))
    max_text_length = (limits or Limits()).max_text_length
    for batch in map_batches(batches, proposal.mapping, layout, max_text_length):
        totals.add(batch)
    if not totals.records:
        raise RefusedDumpError("it has a header and no records")
    decided = totals.decide_dates(proposal.mapping.date_alternatives)
    if decided:
        # The whole dump shows the order of day and month that its beginning left open.
        answer = {"created_at": proposal.mapping.created_at, "date_format": decided}
        found = read_dump(opener, GivenMapping({**given.parts, **answer}), limits, create_totals)
        return replace(found, notes=notes)
    questions = list(proposal.questions)
    labels = question_about_labels(
        totals.label_values, proposal.mapping, canonical=proposal.canonical, answered=proposal.labels_answered
    )
    if labels and not any(question.subject == "label" for question in questions):
        questions.append(labels)
    return Inspection(dump, proposal, totals, tuple(questions), notes)


def _propose(
    dump: OpenedDump, given: GivenMapping, recall: Recall
) -> tuple[GivenMapping, Proposal, tuple[str, ...]]:
    """Return what users have said about a dump, the mapping, and notes about an earlier mapping."""
    earlier = None if dump.header_given else recall(dump.header)
    if earlier is None:
        return given, propose_mapping(dump.sample, given), ()
    merged = given.merged(earlier)
    try:
        proposal = propose_mapping(dump.sample, merged)
    except InputError as error:
        note = f"a mapping that was given earlier for this header is ignored: {error}"
        return given, propose_mapping(dump.sample, given), (note,)
    return merged, proposal, ("a mapping that was given earlier for this header is used",)


def sorted_questions(questions: Sequence[Question]) -> list[Question]:
    """Return questions in the order in which a user answers them."""
    return sorted(questions, key=lambda question: SUBJECTS.index(question.subject))
