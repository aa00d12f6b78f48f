"""Rows of tweets cleaned in Arrow: each distinct token of a batch goes through the rules once.

A batch is split at blanks and its tokens are dictionary-encoded; what the rules make of the dictionary is taken back to the rows and joined.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from spark_jobs.cleaning.stems import stem_key
from spark_jobs.cleaning.token_rules import clean_token

if TYPE_CHECKING:
    from pyspark.broadcast import Broadcast

# A task hands its distinct words on when it holds so many, to bound its memory (about 100 MB).
WORDS_HELD = 1_000_000

# What `clean_rows` adds to a tweet; `normalised` is what `text_group` is a hash of, before lower-casing.
CLEANED_TEXT = StructType(
    [
        StructField("hashtags", ArrayType(StringType(), containsNull=False), nullable=False),
        StructField("emoji", ArrayType(StringType(), containsNull=False), nullable=False),
        StructField("clean_text", StringType(), nullable=False),
        StructField("stemmed_text", StringType(), nullable=False),
        StructField("normalised", StringType(), nullable=False),
    ]
)


def distinct_words(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For mapInArrow over a column of texts: column `word`, the words whose stems `clean_rows` will look up; few come twice."""
    held: set[str] = set()
    for batch in batches:
        for token in pc.split_pattern(batch.column(0), " ").flatten().unique().to_pylist():
            held.update(filter(None, map(stem_key, clean_token(token).words.split(" "))))
        if len(held) > WORDS_HELD:
            yield pa.record_batch([pa.array(held, pa.string())], ["word"])
            held.clear()
    yield pa.record_batch([pa.array(held, pa.string())], ["word"])


def clean_rows(
    stems: "Broadcast[Mapping[str, str | None]]", text_column: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: adds CLEANED_TEXT, from `text_column`, to the columns of each batch.

    Raises KeyError in a worker for a word that needs a stem and is not in `stems`.
    """

    def clean_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stem_of = stems.value
        for batch in batches:
            cleaned = clean_texts(batch.column(text_column), stem_of)
            yield pa.RecordBatch.from_arrays([*batch.columns, *cleaned], [*batch.schema.names, *CLEANED_TEXT.names])

    return clean_batches


def clean_texts(texts: pa.StringArray, stem_of: Mapping[str, str | None]) -> list[pa.Array]:
    """The columns of CLEANED_TEXT."""
    tokens = pc.split_pattern(texts, " ")
    encoded = tokens.flatten().dictionary_encode()
    token_ids, row_offsets = encoded.indices.to_numpy(), tokens.offsets.to_numpy() - tokens.offsets[0].as_py()
    cleaned = [clean_token(token) for token in encoded.dictionary.to_pylist()]
    words, normalised, hashtags, emoji = zip(*cleaned, strict=True) if cleaned else ([], [], [], [])
    stemmed = [stem_text(text, stem_of) for text in words]

    def lists(values: Sequence[Sequence[str]]) -> pa.ListArray:
        counts = np.fromiter(map(len, values), np.int32, len(values))[token_ids]
        taken = pa.array(values, pa.list_(pa.string())).take(pa.array(token_ids[counts > 0]))
        return rows_of(taken.flatten(), counts, row_offsets)

    def joined(values: Sequence[str], separator: str) -> pa.StringArray:
        is_kept = np.fromiter(map(bool, values), bool, len(values))[token_ids]
        taken = pa.array(values, pa.string()).take(pa.array(token_ids[is_kept]))
        return pc.binary_join(rows_of(taken, is_kept, row_offsets), separator)

    return [lists(hashtags), lists(emoji), joined(words, " "), joined(stemmed, " "), joined(normalised, "")]


def rows_of(values: pa.StringArray, counts: np.ndarray, row_offsets: np.ndarray) -> pa.ListArray:
    """The values of each row as a list; `counts` says how many each token of the batch has, `row_offsets` where the tokens of a row begin."""
    offsets = np.concatenate(([0], np.cumsum(counts)))[row_offsets]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def stem_text(words: str, stem_of: Mapping[str, str | None]) -> str:
    """The stems of blank-separated words; a stop word has none."""
    if " " in words:
        return " ".join(filter(None, (stem_text(word, stem_of) for word in words.split(" "))))
    key = stem_key(words)
    return words if key is None else stem_of[key] or ""
