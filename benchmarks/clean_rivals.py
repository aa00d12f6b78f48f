"""The rules of clean_tweets in Polars and in pandas with NLTK, for benchmarks/clean.py.

Both produce the same rows as the job on the benchmark's tweets, with two simplifications. Rust's patterns
have no look-around, so that the Polars rules capture the character before a hashtag or handle. They omit
cases that do not occur in these tweets (URLs without scheme, handles of lists, entities other than five). The
stems are those of the job, because the stemmers of Spark NLP, NLTK and Snowball differ in some words. Each
contender still runs its own stemmer: Polars once for each distinct word, pandas for each word of each row.
"""

import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import polars as pl
from nltk.stem import PorterStemmer
from py_rust_stemmers import SnowballStemmer

from spark_jobs.cleaning import twitter_patterns as patterns
from spark_jobs.cleaning.emoji_pattern import emoji_pattern
from spark_jobs.cleaning.split import EVAL_BELOW, SALT
from spark_jobs.cleaning.stems import WORD_CLASSES
from spark_jobs.cleaning.token_rules import NOT_IN_A_WORD, WORD_JOINERS
from spark_jobs.cleaning.twitter_patterns import compiled

ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}
ENTITY = re.compile(r"&#?\w+;")
FULL_WIDTH = {"＃": "#", "＠": "@"}
TAG = r"\p{L}\p{M}\p{Nd}_"
CLASS_OF_WORD = {member: name for name, members in WORD_CLASSES.items() for member in members}
RESULT_COLUMNS = ["tweet_id", "hashtags", "emoji", "clean_text", "stemmed_text", "text_group", "split"]


def clean_with_polars(raw: list[Path], vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return RESULT_COLUMNS for the Parquet files `raw`. `vocabulary` has word and stem."""
    emoji = emoji_pattern()
    emoji_and_marks = emoji + r"|[\x{FE00}-\x{FE0F}\x{20E0}-\x{20E4}]"
    text = pl.col("clean_text")

    def where(condition: pl.Expr, changed: pl.Expr) -> pl.Expr:
        return pl.when(condition).then(changed).otherwise(text)

    def words_only(expression: pl.Expr) -> pl.Expr:
        return expression.str.replace_many(list(WORD_JOINERS), [""] * len(WORD_JOINERS)).str.replace_all(
            rf"{NOT_IN_A_WORD}+", " "
        )

    rows = (
        pl.scan_parquet(raw)
        .with_columns(clean_text="safe_text")
        .with_columns(clean_text=where(text.str.contains("&", literal=True), text.str.replace_many(ENTITIES)))
        .with_columns(
            clean_text=where(text.str.contains_any(list(FULL_WIDTH)), text.str.replace_many(FULL_WIDTH))
        )
        .with_columns(clean_text=text.str.replace_all("<url>", " ", literal=True))
        .with_columns(
            clean_text=where(
                text.str.contains("http", literal=True), text.str.replace_all(r"https?://[\w./]*[\w/]", " ")
            )
        )
        .with_columns(clean_text=text.str.replace_all("<user>", " ", literal=True))
        .with_columns(
            clean_text=where(
                text.str.contains("@", literal=True),
                text.str.replace_all(r"(^|[^A-Za-z0-9_!#$%&*@])@\w{1,20}", "$1 "),
            )
        )
        .with_columns(
            clean_text=where(text.str.contains("RT", literal=True), text.str.replace_all(r"\bRT\b", " "))
        )
        .with_columns(
            normalised=text,
            hashtags=pl.when(text.str.contains("#", literal=True))
            .then(
                text.str.to_lowercase()
                .str.extract_all(rf"(?:^|[^&{TAG}])#[{TAG}]*[\p{{L}}\p{{M}}][{TAG}]*")
                .list.eval(pl.element().str.replace(r"^.?#", ""))
            )
            .otherwise(pl.lit([], pl.List(pl.String))),
            clean_text=where(
                text.str.contains("#", literal=True),
                text.str.replace_all(rf"(^|[^&{TAG}])#[{TAG}]*[\p{{L}}\p{{M}}][{TAG}]*", "$1 "),
            ),
        )
        .with_columns(
            emoji=pl.when(text.str.len_bytes() > text.str.len_chars())
            .then(text.str.extract_all(emoji))
            .otherwise(pl.lit([], pl.List(pl.String))),
            clean_text=where(
                text.str.len_bytes() > text.str.len_chars(), text.str.replace_all(emoji_and_marks, " ")
            ),
        )
        .with_columns(clean_text=words_only(text).str.strip_chars(" "))
        .with_columns(
            normalised=pl.when(pl.col("hashtags").list.len() == 0)
            .then(text)
            .otherwise(words_only(pl.col("normalised").str.replace_all(emoji_and_marks, " ")))
            .str.replace_all(" ", "", literal=True)
            .str.to_lowercase()
        )
        .collect(engine="streaming")
    )
    # Polars has no MD5.
    groups = pl.Series(
        [
            hashlib.md5(f"{SALT}{normalised}".encode(), usedforsecurity=False).hexdigest()
            for normalised in rows["normalised"]
        ]
    )
    return rows.with_columns(
        stemmed_text=polars_stems(rows["clean_text"], vocabulary),
        text_group=groups,
        split=pl.when(pl.col("label").is_null())
        .then(pl.lit("unlabelled"))
        .when(groups.str.head(8) < EVAL_BELOW)
        .then(pl.lit("eval"))
        .otherwise(pl.lit("train")),
    ).select(RESULT_COLUMNS)


def polars_stems(texts: pl.Series, vocabulary: pl.DataFrame) -> pl.Series:
    """Replace words by stems. Each distinct word is stemmed once, and a join maps the rows."""
    words = pl.DataFrame(
        {"row": pl.int_range(len(texts), eager=True), "word": texts.str.to_lowercase().str.split(" ")}
    ).explode("word")
    distinct = words["word"].unique()
    SnowballStemmer("english").stem_words_parallel(
        [CLASS_OF_WORD.get(word, word) for word in distinct.to_list()]
    )
    stems = (
        words.join(vocabulary.drop_nulls("stem"), on="word", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(pl.col("stem").str.join(" "))
    )
    return (
        pl.DataFrame({"row": pl.int_range(len(texts), eager=True)})
        .join(stems, on="row", how="left", maintain_order="left")["stem"]
        .fill_null("")
    )


def clean_with_pandas(tweets: pd.DataFrame, stem_of: Mapping[str, str | None]) -> pd.DataFrame:
    """Return RESULT_COLUMNS for rows of tweets_raw, with one `apply` per rule and one stem per word."""
    text = tweets["safe_text"]
    text = text.apply(lambda value: ENTITY.sub(lambda found: html.unescape(found[0]), value))
    for full_width, sign in FULL_WIDTH.items():
        text = text.str.replace(full_width, sign, regex=False)
    text = text.str.replace("<url>", " ", regex=False)
    for pattern in (patterns.URL_WITH_SCHEME, patterns.URL_WITHOUT_SCHEME):
        text = substitute(pattern, text)
    text = text.str.replace("<user>", " ", regex=False)
    for pattern in (patterns.HANDLE, patterns.RETWEET_MARKER):
        text = substitute(pattern, text)
    hashtag, emoji = compiled(patterns.HASHTAG), compiled(emoji_pattern())
    emoji_and_marks = f"{emoji_pattern()}|[{patterns.EMOJI_MARKS}]"
    hashtags = text.str.lower().apply(hashtag.findall)
    normalised = text
    text = substitute(patterns.HASHTAG, text)
    found = text.apply(emoji.findall)
    text = words_of(substitute(emoji_and_marks, text)).str.strip()
    normalised = (
        words_of(substitute(emoji_and_marks, normalised)).str.replace(" ", "", regex=False).str.lower()
    )
    groups = normalised.apply(
        lambda value: hashlib.md5(f"{SALT}{value}".encode(), usedforsecurity=False).hexdigest()
    )
    porter = PorterStemmer()

    def stemmed(value: str) -> str:
        stems = []
        for word in value.lower().split():
            stem = stem_of[word]
            if stem is not None:
                porter.stem(CLASS_OF_WORD.get(word, word))
                stems.append(stem)
        return " ".join(stems)

    side = (
        (groups.str[:8] < EVAL_BELOW)
        .map({True: "eval", False: "train"})
        .where(tweets["label"].notna(), "unlabelled")
    )
    columns = [tweets["tweet_id"], hashtags, found, text, text.apply(stemmed), groups, side]
    return pd.DataFrame(dict(zip(RESULT_COLUMNS, columns, strict=True)))


def substitute(pattern: str, texts: pd.Series) -> pd.Series:
    """Replace matches by blanks."""
    return texts.apply(lambda text: compiled(pattern).sub(" ", text))


def words_of(texts: pd.Series) -> pd.Series:
    """Leave words separated by single blanks."""
    for joiner in WORD_JOINERS:
        texts = texts.str.replace(joiner, "", regex=False)
    return substitute(rf"{NOT_IN_A_WORD}+", texts)
