# shellcheck shell=bash
# spark-submit reads this before it starts a driver. It chooses Java's compiler by the size of the work: on 8,000 tweets the quick compiler
# alone saves a quarter to a half of a job's CPU time, on 840,000 it costs 29 % (docs/LOG.md). 100 MB in HDFS are dumps and tables of some
# 300,000 tweets. Where the DataNode's folder is on another machine, its size is not known, and Java decides.
if [ -d "$VAXPULSE_HDFS_STORAGE/data" ] && [ "$(du --summarize --block-size=M "$VAXPULSE_HDFS_STORAGE/data" | cut -dM -f1)" -lt 100 ]; then
  export SPARK_SUBMIT_OPTS="$SPARK_SUBMIT_OPTS -XX:TieredStopAtLevel=1"
fi
