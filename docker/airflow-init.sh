#!/usr/bin/env bash
# Prepares database, login, roles, pools and HDFS for Airflow's other containers. Each command can run again.
set -euo pipefail

airflow db migrate

# The password comes from standard input: every process of the container can read arguments.
printf '%s\n' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" |
  airflow users create --username admin --role Admin --firstname Admin --lastname vaxpulse --email admin@localhost 2>/dev/null
# The DAG watch_platform reads runs and decisions with this login.
printf '%s\n' "$AIRFLOW_WATCH_PASSWORD" "$AIRFLOW_WATCH_PASSWORD" |
  airflow users create --username watch --role Viewer --firstname Watch --lastname vaxpulse --email watch@localhost 2>/dev/null
python docker/create_roles.py
airflow pools import deploy/conf/pools.json
python -m deploy.stack.create_hdfs_folders
