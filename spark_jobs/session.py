"""The Spark session of every job.

What depends on the deployment (master, jars, fs.defaultFS, replication, event log) comes from spark-defaults.conf in SPARK_CONF_DIR.
What the jobs themselves need is here, each setting with its reason; a value given to spark-submit wins over these.
"""

import os
import sys

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

JOB_SETTINGS = {
    # Delta Lake: its SQL commands, and the catalog that knows them.
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Each stage reads only what is new from the table before it.
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
    # The default of 50 tasks to read a log of some kilobytes costs seconds on each look at a table.
    "spark.databricks.delta.snapshotPartitions": "2",
    # The default of 200 is for clusters; adaptive execution merges what is still too small.
    "spark.sql.shuffle.partitions": "16",
    # VACUUM lists the files of a table in so many tasks: the default of 10,000 takes half a minute for a table of six files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
    # Tables are in UTC wherever the machine stands.
    "spark.sql.session.timeZone": "UTC",
    # Columns travel between the JVM and Python as Arrow batches.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # The bar overwrites log lines that Airflow keeps.
    "spark.ui.showConsoleProgress": "false",
}


def open_session(app_name: str) -> SparkSession:
    """The session named `app_name`, with JOB_SETTINGS wherever neither spark-submit nor spark-defaults.conf says otherwise."""
    # Workers must run the driver's Python version; without this they take the first python3 on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Only a started JVM knows what spark-submit was given.
    SparkContext._ensure_initialized()
    given = SparkConf()
    builder = SparkSession.builder.appName(app_name)
    for key, value in JOB_SETTINGS.items():
        if not given.contains(key):
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    # At INFO each Delta commit writes pages into the task's log in Airflow, where people look for what went wrong.
    session.sparkContext.setLogLevel("WARN")
    return session
