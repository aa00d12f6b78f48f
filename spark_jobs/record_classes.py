"""Load the Java classes that the other jobs load, so that Java can archive them (class data sharing).

    spark-submit --driver-java-options -XX:ArchiveClassesAtExit=FILE spark_jobs/record_classes.py

`make install` runs this job once. It uses generated rows and discards its results. It creates, appends to,
overwrites, merges, deletes from, reads, compacts and vacuums a Delta table, aggregates, joins and ranks rows,
runs a Python worker, and calls an HDFS that does not exist. Java loads a class that is not in the archive
from its jar.
"""

import tempfile
from contextlib import suppress

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spark_jobs.session import open_session
from spark_jobs.storage.hadoop_files import exists

HDFS_WITHOUT_SERVER = "hdfs://127.0.0.1:1/"


def main() -> None:
    """Run every step on a table in a temporary folder."""
    spark = open_session("record_classes")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    with tempfile.TemporaryDirectory(prefix="record-classes-") as folder:
        write_table(spark, folder)
        aggregate(spark.read.format("delta").load(folder))
        maintain_table(spark, folder)
    call_hdfs(spark)
    spark.stop()


def write_table(spark: SparkSession, folder: str) -> None:
    """Create a table, append to it, overwrite it, merge into it and delete from it."""
    row_id = F.col("id")
    rows = spark.range(1000).select(
        row_id.cast("string").alias("tweet_id"),
        F.concat(F.lit("RT @nurse: Vaccines work #flu "), row_id).alias("text"),
        F.when(row_id % 2 == 0, 1).alias("label"),
        F.array(F.lit("flu")).alias("hashtags"),
        F.current_timestamp().alias("delivered_at"),
    )
    DeltaTable.createIfNotExists(spark).location(folder).addColumns(rows.schema).execute()
    rows.write.format("delta").mode("append").save(folder)
    rows.mapInArrow(lambda batches: batches, rows.schema).write.format("delta").mode("overwrite").option(
        "mergeSchema", "true"
    ).save(folder)
    changed = rows.where(row_id % 16 == 0).withColumn("label", F.lit(0))
    target = (
        DeltaTable.forPath(spark, folder)
        .alias("old")
        .merge(changed.alias("new"), "old.tweet_id = new.tweet_id")
    )
    target.whenMatchedDelete("new.label = 2").whenMatchedUpdateAll(
        "not old.label <=> new.label"
    ).whenNotMatchedInsertAll().execute()
    DeltaTable.forPath(spark, folder).delete("tweet_id = '1'")
    # A second file, for OPTIMIZE.
    rows.where("tweet_id = '1'").write.format("delta").mode("append").save(folder)


def aggregate(rows: DataFrame) -> None:
    """Aggregate, join and rank, with the text functions of the jobs."""
    words = rows.select(
        "label", F.explode(F.split(F.lower(F.regexp_replace("text", "[^A-Za-z ]", "")), " ")).alias("word")
    ).persist()
    counts = words.groupBy("word").agg(
        F.count("*").alias("all"), F.count_if(F.col("label") == 1).alias("positive")
    )
    ranked = counts.withColumn(
        "rank", F.row_number().over(Window.partitionBy("positive").orderBy(F.desc("all")))
    )
    ranked.where("rank <= 5").orderBy("rank").collect()
    rows.groupBy("label").agg(
        F.max_by("text", "delivered_at"), F.countDistinct("tweet_id"), F.sum(F.length("text"))
    ).toPandas()
    rows.alias("a").join(
        rows.select("tweet_id", F.xxhash64("text").alias("hash")), "tweet_id", "full_outer"
    ).agg(F.sum("hash")).first()
    rows.join(rows.select("tweet_id"), "tweet_id", "left_anti").count()
    rows.join(F.broadcast(rows.select("tweet_id")), "tweet_id", "left_semi").orderBy(F.desc("text")).limit(
        3
    ).collect()
    rows.select(
        F.sha2("text", 256),
        F.expr("reflect('com.johnsnowlabs.nlp.annotators.EnglishStemmer', 'stem', 'vaccines')"),
    ).first()
    words.unpersist()


def maintain_table(spark: SparkSession, folder: str) -> None:
    """Read versions, changes and history, then compact and vacuum."""
    spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(
        folder
    ).groupBy("_change_type").count().collect()
    spark.read.format("delta").option("versionAsOf", 1).load(folder).count()
    table = DeltaTable.forPath(spark, folder)
    table.history().where(F.get_json_object("userMetadata", "$.stage").isNull()).orderBy(
        F.desc("version")
    ).collect()
    table.detail().first()
    table.optimize().executeCompaction()
    table.vacuum(0)


def call_hdfs(spark: SparkSession) -> None:
    """Load the HDFS client. Its connection is refused."""
    spark.sparkContext._jsc.hadoopConfiguration().set("ipc.client.connect.max.retries", "0")
    with suppress(Py4JJavaError):
        exists(spark, HDFS_WITHOUT_SERVER)


if __name__ == "__main__":
    main()
