#!/usr/bin/env bash
# What Airflow's other containers need before they start; each command leaves alone what is there already.
set -euo pipefail

airflow db migrate

# Two lines on standard input: a password in the arguments could be read by every process of the container.
printf '%s\n' "$AIRFLOW_ADMIN_PASSWORD" "$AIRFLOW_ADMIN_PASSWORD" |
  airflow users create --username admin --role Admin --firstname Admin --lastname vaxpulse --email admin@localhost 2>/dev/null
airflow pools import deploy/conf/pools.json

# As HDFS's superuser, who hands /vaxpulse over to Airflow and Spark. Everybody may land a dump; the sticky bit keeps others from taking it away.
webhdfs() {
  curl -fsS --retry 10 --retry-delay 3 -X PUT "http://namenode:9870/webhdfs/v1$1?user.name=hdfs&$2"
  echo " $1"
}
for folder in /vaxpulse /vaxpulse/landing /vaxpulse/spark-events; do
  webhdfs "$folder" op=MKDIRS
  webhdfs "$folder" "op=SETOWNER&owner=vaxpulse&group=vaxpulse"
done
webhdfs /vaxpulse/landing "op=SETPERMISSION&permission=1777"
webhdfs /tmp op=MKDIRS
webhdfs /tmp "op=SETPERMISSION&permission=1777"
