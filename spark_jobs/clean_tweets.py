"""Cleans the new and changed tweets of `tweets_raw` into `tweets_clean`.

The rules for rows are native Spark SQL (`text_rules`), stems come through the table `vocabulary`, which grows by the words not seen before.
Only what `tweets_raw`'s change data feed says is new goes through the rules; a change of the rules (RULES_VERSION, STEMS_VERSION, SALT) cleans
everything again. A retry is a no-op, and where nothing is new nothing is committed.
"""

import argparse
import json
import time
from datetime import UTC, datetime

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs import split as splitting
from spark_jobs import text_rules
from spark_jobs.read_position import changes_are_kept, current_position, last_position, latest_changes, recorded
from spark_jobs.schemas import TWEETS_CLEAN
from spark_jobs.session import open_session
from spark_jobs.vocabulary import STEMS_VERSION, distinct_tokens, grow_vocabulary, map_words

STAGE = "clean_tweets"
SETTINGS = {
    # HotSpot compiles no method above 8,000 bytes, and all rules in one generated method are: interpreted, they take 2.5 times as long.
    "spark.sql.codegen.hugeMethodLimit": "8000",
}
# What a row of tweets_clean depends on besides its tweet.
RULES = f"rules {text_rules.RULES_VERSION}, stems {STEMS_VERSION}, salt {splitting.SALT}"
# A tweet's identity and content: rows that agree in all of these are exact duplicates.
CONTENT = ["tweet_id", "safe_text", "label", "agreement"]

BEFORE_HASHTAGS = (
    text_rules.decode_html_entities,
    text_rules.fold_full_width_signs,
    text_rules.strip_url_placeholders,
    text_rules.strip_urls_with_scheme,
    text_rules.strip_urls_without_scheme,
    text_rules.strip_handle_placeholders,
    text_rules.strip_handles,
    text_rules.strip_retweet_markers,
)
AFTER_EMOJI = (text_rules.strip_emoji, text_rules.strip_punctuation, text_rules.collapse_white_space)


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tweets-raw", required=True, metavar="URI", help="Delta table to read")
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to write")
    parser.add_argument("--vocabulary", required=True, metavar="URI", help="Delta table of words and stems, grown by new words")
    return parser


def drop_null_text(tweets: DataFrame) -> DataFrame:
    """Tweets with a text."""
    return tweets.where(F.col("safe_text").isNotNull())


def drop_exact_duplicates(tweets: DataFrame) -> DataFrame:
    """One of the rows that agree in CONTENT."""
    return tweets.dropDuplicates(CONTENT)


def apply_rules(tweets: DataFrame) -> DataFrame:
    """Columns `hashtags`, `emoji`, `clean_text` and `text_group` beside those of `tweets`, from its column `safe_text`."""
    # One withColumn a rule: Spark then evaluates each once, where one nested expression would repeat its input in every condition.
    tweets = tweets.withColumn("clean_text", F.col("safe_text"))
    for rule in BEFORE_HASHTAGS:
        tweets = tweets.withColumn("clean_text", rule(F.col("clean_text")))
    tweets = tweets.withColumn("hashtags", text_rules.extract_hashtags(F.col("clean_text")))
    tweets = tweets.withColumn("normalised", F.col("clean_text"))
    tweets = tweets.withColumn("clean_text", text_rules.strip_hashtags(F.col("clean_text")))
    tweets = tweets.withColumn("emoji", text_rules.extract_emoji(F.col("clean_text")))
    for rule in AFTER_EMOJI:
        tweets = tweets.withColumn("clean_text", rule(F.col("clean_text")))
    with_tags = text_rules.strip_punctuation(text_rules.strip_emoji(F.col("normalised")))
    normalised = F.when(F.size("hashtags") == 0, F.col("clean_text")).otherwise(with_tags)
    tweets = tweets.withColumn("normalised", F.lower(F.replace(normalised, F.lit(" "), F.lit(""))))
    return tweets.withColumn("text_group", splitting.text_group(F.col("normalised"))).drop("normalised")


def words_of(tokens: DataFrame) -> DataFrame:
    """The distinct words, lower case, that the rules leave of `tokens` (column `token`): column `word`."""
    cleaned = apply_rules(tokens.withColumnRenamed("token", "safe_text"))
    return cleaned.select(F.explode(F.split(F.lower("clean_text"), " ")).alias("word")).where("word != ''").distinct()


def with_stems(spark: SparkSession, tweets: DataFrame, vocabulary_uri: str) -> DataFrame:
    """The rows of `tweets_clean` for those of `tweets_raw`; the vocabulary has grown by their new words when this returns."""
    stem_of = grow_vocabulary(spark, words_of(distinct_tokens(tweets, "safe_text")), vocabulary_uri)
    cleaned = apply_rules(tweets).select(
        "tweet_id",
        "safe_text",
        F.col("label").cast("int"),
        "agreement",
        "hashtags",
        "emoji",
        "clean_text",
        F.lower("clean_text").alias("stemmed_text"),
        "text_group",
        splitting.split(F.col("text_group"), F.col("label")).alias("split"),
        "dump_sha256",
    )
    return cleaned.mapInArrow(map_words(spark.sparkContext.broadcast(stem_of), "stemmed_text"), TWEETS_CLEAN)


def clean_all(spark: SparkSession, raw_uri: str, raw_version: int, clean_uri: str, vocabulary_uri: str) -> int:
    """Replaces `tweets_clean` by the whole of `tweets_raw` at `raw_version`; rows read."""
    raw = spark.read.format("delta").option("versionAsOf", raw_version).load(raw_uri)
    counted = raw.agg(F.count("*").alias("rows"), F.countDistinct("tweet_id").alias("tweets")).first()
    assert counted is not None
    if not counted["rows"]:
        raise SystemExit(f"{raw_uri} holds no tweets: ingest a dump first")
    tweets = drop_null_text(raw)
    # Exact duplicates share their tweet_id; without any the shuffle of all texts is saved.
    if counted["tweets"] < counted["rows"]:
        tweets = drop_exact_duplicates(tweets)
    cleaned = with_stems(spark, tweets, vocabulary_uri)
    # Made from its contract, because a writer alone would leave every column nullable. Columns that are new in the contract are added.
    DeltaTable.createIfNotExists(spark).location(clean_uri).addColumns(TWEETS_CLEAN).execute()
    cleaned.write.format("delta").mode("overwrite").option("mergeSchema", "true").save(clean_uri)
    return int(counted["rows"])


def clean_changes(spark: SparkSession, raw_uri: str, versions: tuple[int, int], clean_uri: str, vocabulary_uri: str) -> int:
    """Brings the changes of `tweets_raw` in the versions (after, to] into `tweets_clean`; rows read, 0 where there is none and no commit."""
    changes = latest_changes(spark, raw_uri, *versions, key="tweet_id").persist()
    is_gone = (F.col("_change_type") == "delete") | F.col("safe_text").isNull()
    counted = changes.agg(F.count("*").alias("rows"), F.count_if(is_gone | ~F.col("_is_new")).alias("old")).first()
    assert counted is not None
    if counted["rows"]:
        cleaned = with_stems(spark, changes.where(~is_gone), vocabulary_uri)
        if counted["old"]:
            gone = changes.where(is_gone).select("tweet_id", F.lit(True).alias("_gone"))
            source = cleaned.withColumn("_gone", F.lit(False)).unionByName(gone, allowMissingColumns=True)
            merge_into(DeltaTable.forPath(spark, clean_uri), source)
        else:
            # None of these can be in tweets_clean yet: no look at what it holds.
            cleaned.write.format("delta").mode("append").save(clean_uri)
    changes.unpersist()
    return int(counted["rows"])


def merge_into(tweets_clean: DeltaTable, source: DataFrame) -> None:
    """Updates, inserts, and deletes where `_gone`."""
    columns = {name: f"new.{name}" for name in TWEETS_CLEAN.names}
    (
        tweets_clean.alias("old")
        .merge(source.alias("new"), "old.tweet_id = new.tweet_id")
        .whenMatchedDelete("new._gone")
        .whenMatchedUpdate(set=columns)  # type: ignore[arg-type]  # the stub wants Column | str, and dict is invariant
        .whenNotMatchedInsert("not new._gone", values=columns)  # type: ignore[arg-type]
        .execute()
    )


def clean_tweets(spark: SparkSession, raw_uri: str, clean_uri: str, vocabulary_uri: str) -> dict[str, object]:
    """Brings `tweets_clean` up to date; a summary: what was done and rows read, cleaned and dropped.

    Raises SystemExit with what to do where `tweets_raw` does not exist or is empty.
    """
    if not DeltaTable.isDeltaTable(spark, raw_uri):
        raise SystemExit(f"no table tweets_raw at {raw_uri}: ingest a dump first")
    raw = DeltaTable.forPath(spark, raw_uri)
    last, current = last_position(spark, clean_uri, STAGE), current_position(raw, STAGE, RULES)
    scope, rows_read = "nothing", 0
    if last != current:
        same_table = last is not None and (last.rules, last.source_id) == (current.rules, current.source_id)
        with recorded(spark, current):
            if last is not None and same_table and changes_are_kept(raw, last.source_version, datetime.now(UTC)):
                versions = (last.source_version, current.source_version)
                rows_read = clean_changes(spark, raw_uri, versions, clean_uri, vocabulary_uri)
                scope = "changes" if rows_read else "nothing"
            else:
                scope = "all"
                rows_read = clean_all(spark, raw_uri, current.source_version, clean_uri, vocabulary_uri)
    rows_cleaned = rows_written(spark, clean_uri) if rows_read else 0
    return {
        "job": STAGE,
        "scope": scope,
        "tweets_raw_version": current.source_version,
        "rows_read": rows_read,
        "rows_cleaned": rows_cleaned,
        "rows_dropped": rows_read - rows_cleaned,
    }


def rows_written(spark: SparkSession, uri: str) -> int:
    """Rows that the newest commit of a table inserted or updated."""
    newest = DeltaTable.forPath(spark, uri).history(1).first()
    assert newest is not None
    metrics = newest["operationMetrics"]
    if newest["operation"] == "MERGE":
        return int(metrics["numTargetRowsInserted"]) + int(metrics["numTargetRowsUpdated"])
    return int(metrics["numOutputRows"])


def main() -> None:
    """Runs the job and prints its summary, the last line as JSON."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    spark = open_session(STAGE)
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    summary = clean_tweets(spark, arguments.tweets_raw, arguments.tweets_clean, arguments.vocabulary)
    summary["seconds"] = round(time.monotonic() - started, 1)
    spark.stop()
    print("cleaned {scope}: {rows_read} rows read, {rows_cleaned} cleaned, {rows_dropped} dropped in {seconds} s".format(**summary))
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
