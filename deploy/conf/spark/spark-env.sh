# shellcheck shell=bash
# spark-submit reads this before it starts a driver. It selects Java's compiler by the amount of data: for
# 8,000 tweets the C1 compiler alone saves 25 to 50 % of a job's CPU time, for 840,000 it costs 29 %
# (docs/experiments). 100 MB in HDFS are dumps and tables of about 300,000 tweets. If the DataNode's folder is
# on another machine, Java uses both compilers.
if [ -d "$VAXPULSE_HDFS_STORAGE/data" ] && [ "$(du --summarize --block-size=M "$VAXPULSE_HDFS_STORAGE/data" | cut -dM -f1)" -lt 100 ]; then
  export SPARK_SUBMIT_OPTS="$SPARK_SUBMIT_OPTS -XX:TieredStopAtLevel=1"
fi
# Jobs that nobody waits for leave the cores to clean_tweets and to the services.
if [ -n "${VAXPULSE_JOB_NICE:-}" ]; then
  renice -n "$VAXPULSE_JOB_NICE" -p $$ >/dev/null
fi
