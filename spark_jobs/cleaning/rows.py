"""Rows of tweets cleaned in Arrow in two steps, between which Spark NLP stems the words: `find_tokens`, stems, `join_tokens`.

The texts of a batch are split at blanks and the tokens dictionary-encoded, so that each distinct one goes through the rules once. Between the
steps a batch is a value in one row; Spark looks at the words alone. So all texts are read once, in one Spark job without a shuffle.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, BinaryType, StringType, StructField, StructType

from spark_jobs.cleaning.stems import stem_key
from spark_jobs.cleaning.token_rules import clean_token

# A task asks for the stem of a word once, and forgets its words when it holds so many, to bound its memory (about 100 MB).
WORDS_HELD = 1_000_000
# The tokens of longer texts than this are found and joined in several turns, to bound the memory of a task.
TURN_BYTES = 32 << 20

STRINGS = ArrayType(StringType(), containsNull=False)
# Between the steps: a row for each tweet, so that Spark cuts the same batches again, but all columns are null except in the first row of a turn.
TURN = StructType([StructField("tweets", BinaryType()), StructField("words", STRINGS)])
# What the two steps add to a tweet; `normalised` is what `text_group` is a hash of, before lower-casing.
CLEANED_TEXT = StructType(
    [
        StructField("hashtags", STRINGS, nullable=False),
        StructField("emoji", STRINGS, nullable=False),
        StructField("clean_text", StringType(), nullable=False),
        StructField("stemmed_text", StringType(), nullable=False),
        StructField("normalised", StringType(), nullable=False),
    ]
)

# Of ASCII letters and digits between these signs the rules leave the letters and digits, except for RT; of a link as Twitter shortens it nothing.
SIGNS_AROUND_WORDS = '.,!?:;"()'
RETWEET_MARKERS = pa.array(["RT", "Rt", "rt"])
SHORT_LINK = "^https?://t[.]co/[A-Za-z0-9]+$"


def find_tokens(text_column: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow, the first step: TURN, in which `words` are those whose stems `join_tokens` will need and has not been given."""

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        asked: set[str] = set()
        for batch in batches:
            for turn in turns(batch, text_column):
                tokens = clean_tokens(turn.column(text_column))
                if len(asked) > WORDS_HELD:
                    asked.clear()
                new = words_to_stem(tokens.values.dictionary.field("words")) - asked
                asked |= new
                absent = [None] * (turn.num_rows - 1)
                tweets = pa.array([to_bytes(turn.append_column("tokens", tokens)), *absent], pa.binary())
                yield pa.record_batch(
                    [tweets, pa.array([list(new), *absent], pa.list_(pa.string()))], TURN.names
                )

    return find


def join_tokens(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For mapInArrow, the second step: TURN and `stems`, those of `words` in their order -> the rows that `find_tokens` was given, and CLEANED_TEXT.

    Raises KeyError in a worker for a word that needs a stem and was given none.
    """
    stem_of: dict[str, str | None] = {}
    for batch in batches:
        for tweets, words, stems in zip(
            *batch.filter(batch.column("tweets").is_valid()).columns, strict=True
        ):
            if len(stem_of) > WORDS_HELD:  # as in `find_tokens`, which holds the same words
                stem_of.clear()
            stem_of.update(zip(words.as_py(), stems.as_py(), strict=True))
            turn = pa.ipc.open_stream(tweets.as_buffer()).read_next_batch()
            *columns, tokens = turn.columns
            yield pa.record_batch(
                [*columns, *cleaned_text(tokens, stem_of)], [*turn.schema.names[:-1], *CLEANED_TEXT.names]
            )


def turns(batch: pa.RecordBatch, text_column: str) -> Iterator[pa.RecordBatch]:
    """Slices of a batch in which all texts begin within TURN_BYTES."""
    ends = np.cumsum(pc.binary_length(batch.column(text_column)).to_numpy())
    turn_of_row = np.concatenate(([0], ends))[:-1] // TURN_BYTES
    firsts = np.flatnonzero(np.diff(turn_of_row, prepend=-1))
    for first, end in pairwise([*firsts, batch.num_rows]):
        yield batch.slice(first, end - first)


def to_bytes(batch: pa.RecordBatch) -> bytes:
    """The batch as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def clean_tokens(texts: pa.StringArray) -> pa.ListArray:
    """The tokens of each text, dictionary-encoded; the dictionary is what the rules make of them: structs with the fields of CleanedToken."""
    tokens = pc.split_pattern(texts, " ")
    encoded = tokens.flatten().dictionary_encode()
    cleaned = pa.DictionaryArray.from_arrays(encoded.indices, clean_distinct_tokens(encoded.dictionary))
    return pa.ListArray.from_arrays(pc.subtract(tokens.offsets, tokens.offsets[0]), cleaned)


def clean_distinct_tokens(tokens: pa.StringArray) -> pa.StructArray:
    """`clean_token` of each token; most need no rule to be tried."""
    bare = pc.ascii_trim(tokens, SIGNS_AROUND_WORDS)
    is_word = pc.and_not(pc.ascii_is_alnum(bare), pc.is_in(bare, RETWEET_MARKERS))
    needs_rules = pc.invert(pc.or_(is_word, pc.match_substring_regex(tokens, SHORT_LINK)))
    cleaned = [clean_token(token) for token in tokens.filter(needs_rules).to_pylist()]
    words, normalised, hashtags, emoji = zip(*cleaned, strict=True) if cleaned else ([], [], [], [])

    def texts(values: Sequence[str]) -> pa.StringArray:
        return pc.replace_with_mask(pc.if_else(is_word, bare, ""), needs_rules, pa.array(values, pa.string()))

    def lists(values: Sequence[Sequence[str]]) -> pa.ListArray:
        counts = np.zeros(len(tokens) + 1, np.int32)
        counts[1:][needs_rules.to_numpy(zero_copy_only=False)] = list(map(len, values))
        return pa.ListArray.from_arrays(
            pa.array(np.cumsum(counts), pa.int32()), pa.array(chain.from_iterable(values), pa.string())
        )

    names = ["words", "normalised", "hashtags", "emoji"]
    return pa.StructArray.from_arrays([texts(words), texts(normalised), lists(hashtags), lists(emoji)], names)


def words_to_stem(texts: pa.StringArray) -> set[str]:
    """The words in `texts`, as `stem_key` gives them, that need a stem."""
    words = set(" ".join(texts.to_pylist()).split(" "))
    return set(filter(None, map(stem_key, words)))


def cleaned_text(tokens: pa.ListArray, stem_of: Mapping[str, str | None]) -> list[pa.Array]:
    """The columns of CLEANED_TEXT from `clean_tokens`."""
    encoded, row_offsets = tokens.values, tokens.offsets.to_numpy()
    token_ids, token = encoded.indices, encoded.dictionary

    def lists(values: pa.ListArray) -> pa.ListArray:
        counts = pc.list_value_length(values).to_numpy()[token_ids.to_numpy()]
        offsets = np.concatenate(([0], np.cumsum(counts)))[row_offsets]
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), values.take(token_ids.filter(pa.array(counts > 0))).flatten()
        )

    def joined(values: pa.StringArray) -> pa.StringArray:
        # Arrow keeps the strings of an array one after the other: those of a row are joined already.
        taken = values.take(token_ids)
        offsets = np.frombuffer(taken.buffers()[1], np.int32)[row_offsets]
        return pa.StringArray.from_buffers(len(tokens), pa.py_buffer(offsets), taken.buffers()[2])

    def joined_by_blanks(values: pa.StringArray) -> pa.StringArray:
        followed = pc.if_else(pc.equal(values, ""), "", pc.binary_join_element_wise(values, "", " "))
        return pc.ascii_rtrim(joined(followed), " ")

    words = token.field("words")
    stems = pa.array([stem_text(each, stem_of) for each in words.to_pylist()], pa.string())
    return [
        lists(token.field("hashtags")),
        lists(token.field("emoji")),
        joined_by_blanks(words),
        joined_by_blanks(stems),
        joined(token.field("normalised")),
    ]


def stem_text(words: str, stem_of: Mapping[str, str | None]) -> str:
    """The stems of blank-separated words; a stop word has none."""
    if " " in words:
        return " ".join(filter(None, (stem_text(word, stem_of) for word in words.split(" "))))
    key = stem_key(words)
    return words if key is None else stem_of[key] or ""
