"""Properties of cleaning for random histories of the log, generated texts, and the real rows."""

import csv
import hashlib
import os
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs import clean_tweets
from spark_jobs.cleaning import rows
from spark_jobs.cleaning.stems import WORD_CLASSES, stop_words
from spark_jobs.cleaning.text_repair import repair_text
from spark_jobs.cleaning.token_rules import apply_rules
from spark_jobs.maintain_tables import drop_superseded_rows
from tests.properties.tweet_log import FIRST_DELIVERY, Dump, Tweet, TweetLog

TRAIN, TEST = (Path(__file__).parents[3] / "shared/data" / name for name in ("Train.csv", "Test.csv"))
needs_real_data = pytest.mark.skipif(
    not TRAIN.exists(),
    reason="../shared/data is absent: the real rows may not be redistributed",
)
# Train.csv has 8,012 records and Test.csv 5,177. In each, both parts of one broken record are excluded.
EXPECTED_ROWS = 8_010 + 5_175
EXPECTED_LABELS = {-1: 808, 0: 3_966, 1: 3_236}
EXPECTED_AGREEMENTS = {0.333: 183, 0.667: 3_126, 1.0: 4_701}
EXPECTED_LENGTHS = (3, 153)
# SHA-256 of all "tweet_id text_group" in order, computed by the code of commit 981bcd8.
EXPECTED_GROUPS = "a4f8ade4d08a5188e3668b0ab36ca1e93263457b6d292dd1de066536f4b002fa"
# SHA-256 over `normalised` of 6,000 texts of PIECES by the rules of commit 1d61b86, which repaired no text.
EXPECTED_NORMALISED = "538912f5bbfb66dcdf5ba51ffe9b0e2059d1e9ebfb8b2c8c180ee7f0e70433f4"
TEXTS = 3_000
# Texts that the rules match. Generated texts combine them with random characters.
PIECES = [
    *(
        "#",
        "＃",
        "@",
        "＠",
        "&",
        "&amp;",
        "&lt;",
        "&nbsp;",
        "&#39;",
        "&bogus;",
        "<url>",
        "<user>",
        "http://",
        "https://t.co/",
        "example.com",
        "/",
        "?",
        ".",
    ),
    *(
        "RT",
        "rt",
        "Rt",
        ":",
        "-",
        "_",
        "'",
        "’",
        "\u200d",
        "\ufe0f",
        "\u20e3",
        "1",
        "💉",
        "👩‍⚕️",
        "🏽",
        "🇺🇸",
        "❤️",
        "(",
        ")",
        "…",
        "://",
    ),
    *("flu", "Vaccine", "é", "疫苗", "لقاح", "टीका", "ſ", "İ", "Σ", " ", " ", "  ", "\n", "\t", "\u00a0"),
]


def generated_texts() -> list[str]:
    """Return TEXTS texts, always the same."""
    found: list[str] = []

    @settings(
        max_examples=TEXTS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=["Cs"])), max_size=25
        ).map("".join)
    )
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return found


def words(text: str) -> list[str]:
    cleaned = apply_rules(text).words
    return cleaned.split(" ") if cleaned else []


def test_cleaning_a_text_equals_cleaning_its_tokens() -> None:
    # So the job may clean each distinct token once.
    for text in generated_texts():
        whole, tokens = apply_rules(text), [apply_rules(token) for token in text.split(" ")]
        assert words(text) == [word for token in text.split(" ") for word in words(token)]
        assert whole.normalised == "".join(token.normalised for token in tokens)
        assert whole.hashtags == [tag for token in tokens for tag in token.hashtags]
        assert whole.emoji == [emoji for token in tokens for emoji in token.emoji]
        assert whole.text == " ".join(token.text for token in tokens)


def clean_rows(texts: list[str]) -> list[dict[str, object]]:
    """Return CLEANED_TEXT of each text, with each word as its own stem."""
    chunks = rows.find_tokens("safe_text")([pa.record_batch([pa.array(texts, pa.string())], ["safe_text"])])
    with_stems = (chunk.append_column("stems", chunk.column("words")) for chunk in chunks)
    return [row for batch in rows.join_tokens(with_stems) for row in batch.to_pylist()]


def test_rows_cleaned_in_arrow_equal_texts_cleaned_by_the_rules() -> None:
    texts = generated_texts()
    for text, row in zip(texts, clean_rows(texts), strict=True):
        whole = apply_rules(repair_text(text))
        assert (whole.text, whole.words, whole.hashtags, whole.emoji) == (
            row["text"],
            row["clean_text"],
            row["hashtags"],
            row["emoji"],
        ), text
        assert row["normalised"] == apply_rules(text).normalised, text


def test_normalised_texts_never_change() -> None:
    # Tweets would change sides.
    chance = random.Random(20261128)
    texts = ["".join(chance.choices(PIECES, k=12)) for _ in range(TEXTS)]
    damaged = [text.encode().decode("latin-1").replace("\n", r"\n") for text in texts]
    normalised = "\n".join(str(row["normalised"]) for row in clean_rows([*texts, *damaged]))
    assert hashlib.sha256(normalised.encode()).hexdigest() == EXPECTED_NORMALISED


def is_in_a_word(character: str) -> bool:
    """Use Python's Unicode tables.

    They are older than those of `regex`: an unassigned character may be a letter.
    """
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "Cn"


def test_clean_text_has_words_and_single_blanks_and_cleaning_is_idempotent() -> None:
    cleaned = sorted({apply_rules(text).words for text in generated_texts()})
    assert [
        text
        for text in cleaned
        if text and not all(word and all(map(is_in_a_word, word)) for word in text.split(" "))
    ] == []
    # except for a word `RT` next to a sign such as `_`
    again = {text: apply_rules(text).words for text in cleaned if "rt" not in text.lower()}
    assert {text: result for text, result in again.items() if text != result} == {}


HISTORIES, STEPS = 48, 5
TEXTS_OF_HISTORIES = (
    "Vaccines work",
    "RT @a: vaccines work!",
    "children's #flu shots 💉",
    "hTTp://a.org measles",
)


# Text; latest label, agreement, created_at and lang; dump.
Current = tuple[str, list[Any], str]


def random_dump(chance: random.Random, history: int, number: int) -> Dump:
    """Return some of the five tweets of a history. A dump may lack label and agreement."""
    has_votes = chance.random() < 0.6
    tweets = [
        Tweet(
            f"{history}-{tweet}",
            chance.choice(TEXTS_OF_HISTORIES),
            chance.choice([None, -1.0, 0.0, 1.0]) if has_votes else None,
            chance.choice([None, 0.5, 1.0]) if has_votes else None,
            chance.choice([None, FIRST_DELIVERY, FIRST_DELIVERY + timedelta(days=1)]),
            chance.choice([None, "en", "fr"]),
        )
        for tweet in chance.sample(range(5), chance.randint(1, 5))
    ]
    # Deliveries at one time are ordered by their hashes.
    return Dump(hashlib.sha256(f"{history} {number}".encode()).hexdigest(), tweets, chance.randint(0, 6))


def current_tweets(dumps: Iterable[Dump]) -> dict[str, Current]:
    """Return the expected values of `tweets_clean` by tweet_id."""
    current: dict[str, Current] = {}
    for dump in sorted(dumps, key=lambda dump: (dump.day, dump.name)):
        for tweet_id, text, *new in dump.tweets:
            _, earlier, _ = current.get(tweet_id, ("", [None] * len(new), ""))
            values = [old if value is None else value for old, value in zip(earlier, new, strict=True)]
            current[tweet_id] = (text, values, dump.name)
    return current


def current_in(cleaned: Mapping[str, Row]) -> dict[str, Current]:
    return {
        tweet_id: (
            row.safe_text,
            [row.label, row.agreement, row.created_at and row.created_at.astimezone(UTC), row.lang],
            row.dump_sha256,
        )
        for tweet_id, row in cleaned.items()
    }


def rows_by_id(spark: SparkSession, uri: str) -> dict[str, Row]:
    rows = spark.read.format("delta").load(uri).collect()
    assert len({row.tweet_id for row in rows}) == len(rows)
    return {row.tweet_id: row for row in rows}


def test_incremental_and_full_cleaning_give_the_current_tweets(spark: SparkSession, tmp_path: Path) -> None:
    # The histories have different ids and dumps and share the tables, so that one run of the job processes
    # all.
    chance = random.Random(20261124)
    log, in_steps, in_one_go = TweetLog(tmp_path), str(tmp_path / "in_steps"), str(tmp_path / "in_one_go")
    loaded: dict[str, Dump] = {}
    maintained_until = 0
    for step in range(STEPS):
        dumps = [
            random_dump(chance, history, number)
            for history in range(HISTORIES)
            for number in (2 * step, 2 * step + 1)
        ]
        dumps = [dump for dump in dumps if chance.random() < 0.8]
        log.append(*dumps)
        loaded |= {dump.name: dump for dump in dumps}
        # dumps whose superseded rows were deleted cannot be retracted
        retractable = [name for name, dump in loaded.items() if dump.day >= maintained_until]
        retracted = [name for name in retractable if chance.random() < 0.15] if step else []
        if retracted:
            log.retract(*retracted)
            loaded = {name: dump for name, dump in loaded.items() if name not in retracted}
        if step == 2:
            maintained_until = 3
            assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=maintained_until)) > 0
        clean_tweets.clean_tweets(spark, log.uri, in_steps)
        assert current_in(rows_by_id(spark, in_steps)) == current_tweets(loaded.values()), f"step {step}"
    clean_tweets.clean_tweets(spark, log.uri, in_one_go)
    assert rows_by_id(spark, in_one_go) == rows_by_id(spark, in_steps)


def read_tweets(path: Path) -> list[Tweet]:
    """Yield the records of a real file. Exclude both parts of a record with an unquoted line break."""
    with path.open(newline="") as lines:
        records = list(csv.DictReader(lines))
    is_tail = [re.fullmatch("[A-Z0-9]{8}", record["tweet_id"]) is None for record in records]
    whole = [
        record for record, *cut in zip(records, is_tail, [*is_tail[1:], False], strict=True) if not any(cut)
    ]
    return [
        Tweet(
            record["tweet_id"],
            record["safe_text"],
            *(float(record[name]) if name in record else None for name in ("label", "agreement")),
        )
        for record in whole
    ]


@pytest.fixture(scope="module")
def real(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFrame]:
    """Return `tweets_clean` after Train.csv and Test.csv."""
    folder = tmp_path_factory.mktemp("real")
    log, clean_uri = TweetLog(folder), str(folder / "tweets_clean")
    for path in (TRAIN, TEST):
        log.append(Dump(path.name, read_tweets(path)))
        clean_tweets.clean_tweets(spark, log.uri, clean_uri)
    rows = spark.read.format("delta").load(clean_uri).persist()
    yield rows
    rows.unpersist()


@needs_real_data
def test_real_rows_have_the_expected_counts(real: DataFrame) -> None:
    rows = real.select("label", "agreement", "split", F.length("safe_text").alias("length")).collect()
    labelled = [row for row in rows if row.label is not None]
    assert len(rows) == EXPECTED_ROWS
    assert Counter(row.label for row in labelled) == EXPECTED_LABELS
    assert Counter(round(row.agreement, 3) for row in labelled) == EXPECTED_AGREEMENTS
    assert (min(row.length for row in rows), max(row.length for row in rows)) == EXPECTED_LENGTHS
    assert {row.split for row in rows if row.label is None} == {"unlabelled"}


@needs_real_data
def test_text_groups_of_the_real_tweets_never_change(real: DataFrame) -> None:
    digest = hashlib.sha256()
    for row in real.select("tweet_id", "text_group").orderBy("tweet_id").collect():
        digest.update(f"{row.tweet_id} {row.text_group}\n".encode())
    assert digest.hexdigest() == EXPECTED_GROUPS


@pytest.mark.skipif(
    "VAXPULSE_FULL_DATA" not in os.environ,
    reason="the data of the source study may not be redistributed: set VAXPULSE_FULL_DATA to its CSV",
)
def test_real_rows_reproduce_the_numbers_of_the_source_study(spark: SparkSession, tmp_path: Path) -> None:
    log, clean_uri = TweetLog(tmp_path), str(tmp_path / "tweets_clean")
    log.append(Dump("d", read_tweets(Path(os.environ["VAXPULSE_FULL_DATA"]))))
    clean_tweets.clean_tweets(spark, log.uri, clean_uri)
    rows = [row for row in rows_by_id(spark, clean_uri).values() if row.label is not None]
    counts = Counter(row.label for row in rows)
    # rounded in the study
    assert dict(counts) == {
        0: pytest.approx(4_900, abs=20),
        1: pytest.approx(4_050, abs=20),
        -1: pytest.approx(1_040, abs=20),
    }
    # which counts both parts of the broken record
    assert sum(round(row.agreement, 3) == 0.667 for row in rows) == pytest.approx(3_894, abs=2)
    lengths = [len(row.safe_text) for row in rows]
    assert (min(lengths), max(lengths)) == EXPECTED_LENGTHS


@needs_real_data
def test_label_shares_of_both_sides_are_equal_within_a_point_and_no_text_is_on_both(
    real: DataFrame,
) -> None:
    rows = real.where("label is not null").select("label", "split", "text_group").collect()
    eval_share = sum(row.split == "eval" for row in rows) / len(rows)
    assert abs(eval_share - 0.2) < 0.01
    for label in (-1, 0, 1):
        share = sum(row.label == label for row in rows) / len(rows)
        in_eval = sum(row.label == label and row.split == "eval" for row in rows) / sum(
            row.split == "eval" for row in rows
        )
        of_label = sum(row.label == label and row.split == "eval" for row in rows) / sum(
            row.label == label for row in rows
        )
        assert abs(in_eval - share) < 0.01, f"label {label}: {in_eval:.4f} of eval, {share:.4f} of all"
        assert abs(of_label - 0.2) < 0.01, f"label {label}: {of_label:.4f} of it in eval"
    sides = Counter((row.text_group, row.split) for row in rows)
    assert max(Counter(group for group, _ in sides).values()) == 1


def stems_by_pipeline(texts: DataFrame) -> DataFrame:
    """Add `stems`, array<string>, by a Spark NLP pipeline over whole rows, as in its documentation."""
    from sparknlp.annotator import Normalizer, Stemmer, StopWordsCleaner, Tokenizer
    from sparknlp.base import DocumentAssembler, Finisher

    for name, members in WORD_CLASSES.items():
        texts = texts.withColumn(
            "text", F.regexp_replace("text", rf"(?<![^ ])(?:{'|'.join(members)})(?![^ ])", name)
        )
    stages = [
        DocumentAssembler().setInputCol("text").setOutputCol("document"),
        Tokenizer().setInputCols(["document"]).setOutputCol("token"),
        # The default pattern also removes digits (h1n1 -> hn) and vowel signs of Hindi.
        Normalizer()
        .setInputCols(["token"])
        .setOutputCol("normalized")
        .setLowercase(True)
        .setCleanupPatterns([r"[^\p{L}\p{M}\p{N}]"]),
        StopWordsCleaner().setInputCols(["normalized"]).setOutputCol("meaningful").setStopWords(stop_words()),
        Stemmer().setInputCols(["meaningful"]).setOutputCol("stem"),
        Finisher().setInputCols(["stem"]).setOutputCols(["stems"]).setOutputAsArray(True),
    ]
    return Pipeline(stages=stages).fit(texts).transform(texts)


@needs_real_data
def test_stems_equal_those_of_a_spark_nlp_pipeline(real: DataFrame) -> None:
    rows = stems_by_pipeline(
        real.select("tweet_id", "stemmed_text", F.lower("clean_text").alias("text"))
    ).collect()
    assert len(rows) == EXPECTED_ROWS
    assert [row.tweet_id for row in rows if row.stemmed_text != " ".join(row.stems)] == []


def test_new_dumps_never_move_a_tweet_between_sides(spark: SparkSession, tmp_path: Path) -> None:
    # Later dumps contain variants of the same texts.
    texts = generated_texts()
    log, clean_uri = TweetLog(tmp_path), str(tmp_path / "tweets_clean")
    seen: dict[str, tuple[str, str]] = {}
    for number, dump in enumerate(
        (texts[:1000], texts[500:1500], [f"RT @someone: {text} <url>" for text in texts[:500]])
    ):
        log.append(
            Dump(
                f"d{number}",
                [Tweet(f"{number}-{i}", text, float(i % 3 - 1), 1.0) for i, text in enumerate(dump)],
                number,
            )
        )
        clean_tweets.clean_tweets(spark, log.uri, clean_uri)
        sides = {
            tweet_id: (row.text_group, row.split) for tweet_id, row in rows_by_id(spark, clean_uri).items()
        }
        assert len(sides) == len(seen) + len(dump)
        assert {tweet_id: sides[tweet_id] for tweet_id in seen} == seen
        assert max(Counter(group for group, _ in set(sides.values())).values()) == 1
        seen = sides
    assert {side for _, side in seen.values()} == {"train", "eval"}
