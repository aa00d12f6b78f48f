"""### Watch the platform: send alerts and record metrics

**What.** Looks for failed runs, held and failed dumps, decisions that wait for more than a day, and drift.
Checks services and disks (limit 85 %). Each problem is reported once, with a link and advice, to the webhook
or e-mail address in the Connection `vaxpulse_alerts`. Without this Connection, problems are only in the log.
In the embedded deployment `make status` shows the same list. The page *Overview* shows the problems of
services and disks. Then rows, seconds, bytes and lag of each stage are added to the table `pipeline_metrics`.

**When.** Every five minutes.

**Needs.** `VAXPULSE_WATCHED` and the Connection `vaxpulse_api`. Both deployments set them.

**If it fails.** The last line of the log gives the reason: for example, the webhook does not respond. An
alert that was not sent is sent by a retry or by the next run.
"""

import logging
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, conf, dag, task, timezone
from airflow.sdk.exceptions import AirflowException

from vaxpulse_airflow.airflow_api import open_api
from vaxpulse_airflow.alerts import find_receiver, load_state, save_state
from vaxpulse_dags.assets import table_uri
from vaxpulse_dags.tables import query_table
from vaxpulse_dags.tasks import DEFAULT_ARGS, START_DATE

log = logging.getLogger(__name__)


@dag(
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,  # a pass looks at the current state
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
)
def watch_platform() -> None:
    """Run one pass."""

    @task(execution_timeout=timedelta(minutes=10))
    def watch(ti: Any = None) -> None:
        from monitoring.alerts import send_alerts
        from monitoring.health import Watched
        from monitoring.metrics import record_metrics
        from monitoring.problems import CHECKED, find_problems

        watched, now = Watched.from_json(os.environ["VAXPULSE_WATCHED"]), timezone.utcnow()
        airflow = open_api(watched.airflow)
        findings = find_problems(watched, airflow, query_table, conf.get("api", "base_url").rstrip("/"), now)
        ti.xcom_push(key=CHECKED, value=findings.describe_services())  # for the page Overview
        for problem in findings.problems:
            log.warning("%s. %s %s", problem.title, problem.advice, problem.link)
        failures = [f"{cause}: not checked: {reason}" for cause, reason in findings.unchecked.items()]
        try:
            if send := find_receiver():
                send_alerts(findings, load_state(), send, save_state)
        except Exception as error:  # metrics do not depend on the receiver of alerts
            failures.append(f"alerts: {error}")
        if not findings.unchecked:
            log.info("pipeline_metrics: %s rows", record_metrics(airflow, query_table, table_uri, now))
        if failures:
            raise AirflowException("; ".join(failures))

    watch()


watch_platform()
