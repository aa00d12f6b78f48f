#!/usr/bin/env bash
# Runs a command with the container's secrets in its environment: each file in /run/secrets is a variable of its name.
# Secrets are files so that `docker inspect` does not show them; Airflow, MLflow and libpq read variables.
set -euo pipefail
for file in /run/secrets/*; do
  [ ! -f "$file" ] || export "${file##*/}=$(<"$file")"
done
if [ -n "${REDIS_PASSWORD:-}" ]; then
  export AIRFLOW__CELERY__BROKER_URL="redis://:$REDIS_PASSWORD@redis:6379/0"
  export AIRFLOW__CELERY__RESULT_BACKEND="redis://:$REDIS_PASSWORD@redis:6379/1"
  unset REDIS_PASSWORD
fi
exec "$@"
