"""The stem of every word, found by Spark NLP once for each distinct word.

Spark NLP over whole rows is 15 to 40 times slower than all other rules together. Words follow Zipf's law, so it sees each of them once: the
table `vocabulary` (word, stem; null for a stop word) grows by the words not seen before, and rows are mapped through it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from delta.tables import DeltaTable
from pyspark.broadcast import Broadcast
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.read_position import ReadPosition, last_position, recorded
from spark_jobs.schemas import VOCABULARY

if TYPE_CHECKING:
    from pyspark.ml import Pipeline

STAGE = "vocabulary"
# Raise it with every change of a stem: the table is then made anew.
STEMS_VERSION = 1

# Words that count as one. The keys are whole words.
WORD_CLASSES = {
    "vaccine": ("vaccine", "vaccines", "vaccinate", "vaccinated", "vaccination", "vaccinations"),
    "child": ("kid", "kids", "child", "children"),
}
# What tokenisation of tweets leaves behind, by the recipe of the source study.
LEFTOVERS = ("_", "u", "#@", "&")

# A partition hands its distinct tokens on when it holds so many, to bound its memory (about 100 MB).
TOKENS_HELD = 1_000_000


def fold_word_classes(text: Column) -> Column:
    """Each word of a class -> the name of the class, in lower-case text."""
    for name, members in WORD_CLASSES.items():
        text = F.regexp_replace(text, rf"(?<![^ ])(?:{'|'.join(members)})(?![^ ])", name)
    return text


def stop_words() -> list[str]:
    """Spark NLP's English stop words, and what the recipe of the source study leaves out besides."""
    from sparknlp.annotator import StopWordsCleaner

    english = StopWordsCleaner().getStopWords()
    # Its words with apostrophes never occur once punctuation is gone: `dont` is the form to remove.
    return [*english, *(word.replace("'", "") for word in english if "'" in word), *LEFTOVERS]


def stem_pipeline() -> "Pipeline":
    """Spark NLP from column `text` (lower case, word classes folded) to column `stems`, array<string> without stop words."""
    from pyspark.ml import Pipeline
    from sparknlp.annotator import Normalizer, Stemmer, StopWordsCleaner, Tokenizer
    from sparknlp.base import DocumentAssembler, Finisher

    return Pipeline(
        stages=[
            DocumentAssembler().setInputCol("text").setOutputCol("document"),
            Tokenizer().setInputCols(["document"]).setOutputCol("token"),
            # The default pattern would also remove digits (h1n1 -> hn) and the vowel signs of Hindi.
            Normalizer().setInputCols(["token"]).setOutputCol("normalized").setLowercase(True).setCleanupPatterns([r"[^\p{L}\p{M}\p{N}]"]),
            StopWordsCleaner().setInputCols(["normalized"]).setOutputCol("meaningful").setStopWords(stop_words()),
            Stemmer().setInputCols(["meaningful"]).setOutputCol("stem"),
            Finisher().setInputCols(["stem"]).setOutputCols(["stems"]).setOutputAsArray(True),
        ]
    )


def stems_by_spark_nlp(texts: DataFrame) -> DataFrame:
    """Column `stemmed_text` beside the columns of `texts` from its column `text`: blank-separated stems, empty where no word has one."""
    prepared = texts.withColumn("text", fold_word_classes(F.col("text")))
    return stem_pipeline().fit(prepared).transform(prepared).withColumn("stemmed_text", F.array_join("stems", " ")).drop("stems")


def stem_words(words: DataFrame) -> DataFrame:
    """`word` -> `word`, `stem` (null for a stop word); each word must be distinct."""
    stemmed = stems_by_spark_nlp(words.withColumn("text", F.col("word")))
    return stemmed.select("word", F.when(F.col("stemmed_text") != "", F.col("stemmed_text")).alias("stem"))


def grow_vocabulary(spark: SparkSession, words: DataFrame, uri: str) -> dict[str, str | None]:
    """The stem of each of `words` (distinct, column `word`); those that the table at `uri` does not hold yet are stemmed and appended."""
    position = ReadPosition(STAGE, f"stems {STEMS_VERSION}", source_id="", source_version=0)
    is_current = last_position(spark, uri, STAGE) == position
    if not is_current:
        DeltaTable.createIfNotExists(spark).location(uri).addColumns(VOCABULARY).execute()
    table = spark.read.format("delta").load(uri)
    words = words.persist()
    unseen = (words.join(table, "word", "left_anti") if is_current else words).persist()
    if not is_current or not unseen.isEmpty():
        with recorded(spark, position):
            stem_words(unseen).write.format("delta").mode("append" if is_current else "overwrite").save(uri)
    # Only the words of these tweets go to the workers, however large the table has grown.
    stems = table.join(words, "word", "left_semi").select("word", "stem").collect()
    unseen.unpersist()
    words.unpersist()
    return {"": None} | {row.word: row.stem for row in stems}


def distinct_tokens(tweets: DataFrame, text_column: str) -> DataFrame:
    """What stands between two blanks in the texts, each once: column `token`."""

    def of_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = pa.array([], pa.string())
        for batch in batches:
            tokens = pc.list_flatten(pc.split_pattern(batch.column(0), " ")).unique()
            held = pa.concat_arrays([held, tokens]).unique()
            if len(held) > TOKENS_HELD:
                yield pa.record_batch([held], ["token"])
                held = held.slice(0, 0)
        yield pa.record_batch([held], ["token"])

    return tweets.select(text_column).mapInArrow(of_partition, "token string").distinct()


def map_words(
    stem_of: "Broadcast[Mapping[str, str | None]]", column: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow that replaces the blank-separated words in `column` by their stems; a word without a stem goes.

    Raises KeyError in a worker for a word that `stem_of` does not hold.
    """

    def of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stems_by_word = stem_of.value
        for batch in batches:
            index = batch.schema.get_field_index(column)
            words = pc.split_pattern(batch.column(index), " ")
            # A batch has few distinct words: only those are looked up one by one.
            encoded = words.flatten().dictionary_encode()
            stems = pa.array([stems_by_word[word] for word in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)
            kept_before = np.concatenate(([0], np.cumsum(stems.is_valid().to_numpy(zero_copy_only=False))))
            offsets = pa.array(kept_before[words.offsets.to_numpy()], pa.int32())
            stemmed = pc.binary_join(pa.ListArray.from_arrays(offsets, stems.drop_null()), " ")
            yield batch.set_column(index, batch.schema.field(index), stemmed)

    return of_batches
