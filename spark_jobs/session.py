"""Spark session of every job.

Settings of the deployment (master, jars, fs.defaultFS, replication, event log) are in spark-defaults.conf in
SPARK_CONF_DIR. Settings that the jobs need are here. A value of spark-submit or spark-defaults.conf overrides
them.
"""

import os
import sys

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from contracts.task_output import describe_spark_application

JOB_SETTINGS = {
    # Delta Lake: its SQL commands and its catalog.
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Each stage reads only the changes of its source table.
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
    # By default 50 tasks read a log of some kilobytes, which takes seconds.
    "spark.databricks.delta.snapshotPartitions": "2",
    # The default of 200 is for large clusters. Adaptive execution merges small partitions.
    "spark.sql.shuffle.partitions": "16",
    # VACUUM lists files in this number of tasks. The default of 10,000 takes half a minute for six files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
    # Timestamps of the tables are in UTC.
    "spark.sql.session.timeZone": "UTC",
    # Columns travel between the JVM and Python as Arrow batches.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # The progress bar overwrites lines of Airflow's task log.
    "spark.ui.showConsoleProgress": "false",
}


def open_session(app_name: str) -> SparkSession:
    """Return a session with JOB_SETTINGS, except for those that spark-submit or spark-defaults.conf set."""
    # Workers must run the driver's Python version. By default they run the first python3 on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # The settings of spark-submit are available only in a started JVM.
    SparkContext._ensure_initialized()
    given = SparkConf()
    builder = SparkSession.builder.appName(app_name)
    for key, value in JOB_SETTINGS.items():
        if not given.contains(key):
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    # At INFO each Delta commit writes pages into Airflow's task log.
    session.sparkContext.setLogLevel("WARN")
    print(describe_spark_application(session.sparkContext.applicationId), flush=True)  # for Airflow's link
    return session
