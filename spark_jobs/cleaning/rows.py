"""Clean rows of tweets in Arrow, in two steps: `find_tokens`, then `join_tokens`.

In between Spark NLP stems the words.
`find_tokens` repairs the texts of a batch, splits them at blanks and dictionary-encodes the tokens, so that
the rules run once for each distinct token. Between the steps a chunk of tweets is one binary value, and Spark
processes only the words. So all texts are read once, in one Spark job without a shuffle.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, BinaryType, StringType, StructField, StructType

from spark_jobs.cleaning.stems import stem_key
from spark_jobs.cleaning.text_repair import repair_texts
from spark_jobs.cleaning.token_rules import CleanedToken, clean_token
from spark_jobs.cleaning.twitter_patterns import URL_PLACEHOLDER

# A task requests the stem of a word once. It clears its cache at this size, to limit its memory (about 100
# MB).
MAX_CACHED_WORDS = 1_000_000
# A batch with more bytes of text is processed in several chunks, to limit the memory of a task.
CHUNK_BYTES = 32 << 20

STRINGS = ArrayType(StringType(), containsNull=False)
# Rows between the steps. There is a row for each tweet, so that Spark creates the same batches again, but all
# columns are null except in the first row of a chunk.
CHUNK = StructType([StructField("tweets", BinaryType()), StructField("words", STRINGS)])
# Columns that the two steps add to a tweet. `text_group` is a hash of `normalised` in lower case.
# `normalised` is derived from the text as delivered, so that repairs never change a `text_group`. The other
# columns are derived from the repaired text.
CLEANED_TEXT = StructType(
    [
        StructField("text", StringType(), nullable=False),
        StructField("hashtags", STRINGS, nullable=False),
        StructField("emoji", STRINGS, nullable=False),
        StructField("clean_text", StringType(), nullable=False),
        StructField("stemmed_text", StringType(), nullable=False),
        StructField("normalised", StringType(), nullable=False),
    ]
)

# Tokens that need no rules: ASCII letters and digits between these signs (only the signs are removed), except
# for RT, and Twitter's short links (removed).
SIGNS_AROUND_WORDS = '.,!?:;"()'
RETWEET_MARKERS = pa.array(["RT", "Rt", "rt"])
SHORT_LINK = "^https?://t[.]co/[A-Za-z0-9]+$"


def find_tokens(text_column: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the first step, for mapInArrow.

    It yields CHUNK; `words` are those whose stems `join_tokens` lacks.
    """

    def find(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        requested: set[str] = set()
        for batch in batches:
            for chunk in split_batch(batch, text_column):
                delivered = chunk.column(text_column)
                repaired = repair_texts(delivered)
                tokens = clean_tokens(repaired)
                if len(requested) > MAX_CACHED_WORDS:
                    requested.clear()
                new = words_to_stem(tokens.values.dictionary.field("words")) - requested
                requested |= new
                absent = [None] * (chunk.num_rows - 1)
                chunk = chunk.append_column("normalised", normalise_damaged(delivered, repaired))
                tweets = pa.array([to_bytes(chunk.append_column("tokens", tokens)), *absent], pa.binary())
                yield pa.record_batch(
                    [tweets, pa.array([list(new), *absent], pa.list_(pa.string()))], CHUNK.names
                )

    return find


def join_tokens(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows that `find_tokens` received, with CLEANED_TEXT. This is the second step, for mapInArrow.

    The batches have CHUNK and `stems`, the stems of `words` in the same order.

    Raises:
        KeyError: a word that needs a stem has none.
    """
    stem_of: dict[str, str | None] = {}
    for batch in batches:
        for tweets, words, stems in zip(
            *batch.filter(batch.column("tweets").is_valid()).columns, strict=True
        ):
            if len(stem_of) > MAX_CACHED_WORDS:  # at the same time as `find_tokens`, which has the same words
                stem_of.clear()
            stem_of.update(zip(words.as_py(), stems.as_py(), strict=True))
            chunk = pa.ipc.open_stream(tweets.as_buffer()).read_next_batch()
            *columns, normalised, tokens = chunk.columns
            *cleaned, normalised_repaired = cleaned_text(tokens, stem_of)
            yield pa.record_batch(
                [*columns, *cleaned, pc.coalesce(normalised, normalised_repaired)],
                [*chunk.schema.names[:-2], *CLEANED_TEXT.names],
            )


def split_batch(batch: pa.RecordBatch, text_column: str) -> Iterator[pa.RecordBatch]:
    """Yield slices of a batch in which all texts begin within CHUNK_BYTES."""
    ends = np.cumsum(pc.binary_length(batch.column(text_column)).to_numpy())
    chunk_of_row = np.concatenate(([0], ends))[:-1] // CHUNK_BYTES
    firsts = np.flatnonzero(np.diff(chunk_of_row, prepend=-1))
    for first, end in pairwise([*firsts, batch.num_rows]):
        yield batch.slice(first, end - first)


def to_bytes(batch: pa.RecordBatch) -> bytes:
    """Return a batch as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def normalise_damaged(delivered: pa.StringArray, repaired: pa.StringArray) -> pa.StringArray:
    """Return `normalised` of the texts as delivered. Null for those that were not repaired."""
    is_damaged = pc.not_equal(delivered, repaired)
    normalised = [
        "".join(clean_token(token).normalised for token in text.split(" "))
        for text in delivered.filter(is_damaged).to_pylist()
    ]
    nulls = pa.nulls(len(delivered), pa.string())
    return pc.replace_with_mask(nulls, is_damaged, pa.array(normalised, pa.string()))


def clean_tokens(texts: pa.StringArray) -> pa.ListArray:
    """Return the tokens of each text, dictionary-encoded.

    The dictionary has structs with the fields of CleanedToken.
    """
    tokens = pc.split_pattern(texts, " ")
    encoded = tokens.flatten().dictionary_encode()
    cleaned = pa.DictionaryArray.from_arrays(encoded.indices, clean_distinct_tokens(encoded.dictionary))
    return pa.ListArray.from_arrays(pc.subtract(tokens.offsets, tokens.offsets[0]), cleaned)


def clean_distinct_tokens(tokens: pa.StringArray) -> pa.StructArray:
    """Apply `clean_token` to each token. Most tokens are handled in Arrow, without the rules."""
    bare = pc.ascii_trim(tokens, SIGNS_AROUND_WORDS)
    is_word = pc.and_not(pc.ascii_is_alnum(bare), pc.is_in(bare, RETWEET_MARKERS))
    is_link = pc.match_substring_regex(tokens, SHORT_LINK)
    needs_rules = pc.invert(pc.or_(is_word, is_link))
    cleaned = [clean_token(token) for token in tokens.filter(needs_rules).to_pylist()]
    by_rules = zip(*cleaned, strict=True) if cleaned else ([] for _ in CleanedToken._fields)
    words, normalised, hashtags, emoji, text = by_rules

    def texts(others: pa.StringArray, values: Sequence[str]) -> pa.StringArray:
        return pc.replace_with_mask(others, needs_rules, pa.array(values, pa.string()))

    def lists(values: Sequence[Sequence[str]]) -> pa.ListArray:
        counts = np.zeros(len(tokens) + 1, np.int32)
        counts[1:][needs_rules.to_numpy(zero_copy_only=False)] = list(map(len, values))
        return pa.ListArray.from_arrays(
            pa.array(np.cumsum(counts), pa.int32()), pa.array(chain.from_iterable(values), pa.string())
        )

    bare_words = pc.if_else(is_word, bare, "")
    columns = [
        texts(bare_words, words),
        texts(bare_words, normalised),
        lists(hashtags),
        lists(emoji),
        texts(pc.if_else(is_link, URL_PLACEHOLDER, tokens), text),
    ]
    return pa.StructArray.from_arrays(columns, CleanedToken._fields)


def words_to_stem(texts: pa.StringArray) -> set[str]:
    """Return the `stem_key` of each word that needs a stem."""
    words = set(" ".join(texts.to_pylist()).split(" "))
    return set(filter(None, map(stem_key, words)))


def cleaned_text(tokens: pa.ListArray, stem_of: Mapping[str, str | None]) -> list[pa.Array]:
    """Return the columns of CLEANED_TEXT for the result of `clean_tokens`."""
    encoded, row_offsets = tokens.values, tokens.offsets.to_numpy()
    token_ids, token = encoded.indices, encoded.dictionary

    def lists(values: pa.ListArray) -> pa.ListArray:
        counts = pc.list_value_length(values).to_numpy()[token_ids.to_numpy()]
        offsets = np.concatenate(([0], np.cumsum(counts)))[row_offsets]
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), values.take(token_ids.filter(pa.array(counts > 0))).flatten()
        )

    def joined(values: pa.StringArray) -> pa.StringArray:
        # Arrow stores the strings of an array one after another, so that those of a row are already joined.
        taken = values.take(token_ids)
        offsets = np.frombuffer(taken.buffers()[1], np.int32)[row_offsets]
        return pa.StringArray.from_buffers(len(tokens), pa.py_buffer(offsets), taken.buffers()[2])

    def joined_by_blanks(values: pa.StringArray) -> pa.StringArray:
        followed = pc.if_else(pc.equal(values, ""), "", pc.binary_join_element_wise(values, "", " "))
        return pc.ascii_rtrim(joined(followed), " ")

    words = token.field("words")
    stems = pa.array([stem_text(each, stem_of) for each in words.to_pylist()], pa.string())
    tokens_of_row = pa.ListArray.from_arrays(tokens.offsets, token.field("text").take(token_ids))
    return [
        pc.binary_join(tokens_of_row, " "),
        lists(token.field("hashtags")),
        lists(token.field("emoji")),
        joined_by_blanks(words),
        joined_by_blanks(stems),
        joined(token.field("normalised")),
    ]


def stem_text(words: str, stem_of: Mapping[str, str | None]) -> str:
    """Return the stems of blank-separated words, without stop words."""
    if " " in words:
        return " ".join(filter(None, (stem_text(word, stem_of) for word in words.split(" "))))
    key = stem_key(words)
    return words if key is None else stem_of[key] or ""
