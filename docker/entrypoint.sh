#!/usr/bin/env bash
# Runs a command with the container's secrets in its environment: each file in /run/secrets becomes a
# variable. Secrets are files so that `docker inspect` does not show them. Airflow, MLflow and libpq read
# variables.
set -euo pipefail
for file in /run/secrets/*; do
  [ ! -f "$file" ] || export "${file##*/}=$(<"$file")"
done
if [ -n "${REDIS_PASSWORD:-}" ]; then
  export AIRFLOW__CELERY__BROKER_URL="redis://:$REDIS_PASSWORD@redis:6379/0"
  export AIRFLOW__CELERY__RESULT_BACKEND="redis://:$REDIS_PASSWORD@redis:6379/1"
  unset REDIS_PASSWORD
fi
if [ -n "${AIRFLOW_WATCH_PASSWORD:-}" ]; then
  export AIRFLOW_CONN_VAXPULSE_API="{\"conn_type\": \"generic\", \"login\": \"watch\", \"password\": \"$AIRFLOW_WATCH_PASSWORD\"}"
fi
# The images of Spark and Airflow contain contracts/, which defines the paths in HDFS. A single container, for
# example a Spark worker on another server, may have no VAXPULSE_HDFS.
if [ -d contracts ] && [ -n "${VAXPULSE_HDFS:-}" ]; then
  print_paths='from contracts import hdfs_paths; print(hdfs_paths.ROOT, hdfs_paths.SPARK_EVENTS)'
  read -r root spark_events < <(python -c "$print_paths")
  export VAXPULSE_SPARK_EVENTS="${VAXPULSE_SPARK_EVENTS:-$VAXPULSE_HDFS$spark_events}"
  [ -z "${VAXPULSE_NAMENODE_URL:-}" ] || export VAXPULSE_HDFS_URL="$VAXPULSE_NAMENODE_URL/explorer.html#$root"
fi
exec "$@"
