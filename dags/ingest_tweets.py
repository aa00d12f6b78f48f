"""### Take dumps of tweets into HDFS and into the table `tweets_raw`

**What.** A dump is *delivered* once: it is moved out of the landing folder, and nobody writes to it any more. Then it is read once and
settled. A dump is **loaded** into `tweets_raw`, where of each tweet the newest delivery counts. It is **held** when the data-quality gate
finds something unusual; nothing of it is loaded until a person decides in a run of `review_dump`. It is **refused** when no record of it can
be read. Records that break a rule go to `quarantine` with the reason. One row in `dumps` accounts for each dump. The bytes stay
in HDFS under their SHA-256.

**When.** Within half a minute after a file has landed in the HDFS folder `/vaxpulse/landing`. Every day for whatever lies in the landing
folders, days that were missed included. And when somebody presses *Trigger*, with the address of a dump or without.
The same content again, under whatever name, changes nothing: the run ends green with `load_dumps` skipped.

**Needs.** The connection `webhdfs_default`, and `VAXPULSE_LANDING`, the landing folder that all workers share.
Write a file under a hidden or `.part` name and rename it when it is whole.

**If it fails.** Read the log of the red task; its last line says what is wrong. A red `report` names the dumps that were refused.
Nothing is lost: a delivery that was not settled is found again by the next run. Clear the task to try at once.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, get_current_context, task
from vaxpulse_airflow import deliveries
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

from common.assets import DELIVERED_FOLDER, HDFS, LANDED_DUMPS, LANDING_FOLDER, LOADING_ARGUMENTS, TWEETS_RAW
from common.defaults import DEFAULT_ARGS, FIRST_DAY, LOAD, fail_for_good, loading_task, writes_tables
from common.dumps import read_dumps

log = logging.getLogger(__name__)


def deliver(dump: str | None, client: Any, local_landing: Path) -> None:
    """Deliver one dump, or everything in the landing folders.

    Args:
        dump: the address of one dump; without it everything that has landed.
        client: the WebHDFS client.
        local_landing: the landing folder on this machine.

    Raises:
        ValueError, OSError: the dump cannot be read; says what to do.
        RuntimeError: some landed files cannot be delivered; all others were.
    """
    if dump:
        log.info(
            "delivered: %s", deliveries.deliver_dump(client, dump, local_landing, HDFS, DELIVERED_FOLDER)
        )
        return
    in_hdfs = deliveries.deliver_landed(client, LANDING_FOLDER, DELIVERED_FOLDER)
    locally = deliveries.deliver_landed_locally(client, local_landing, DELIVERED_FOLDER)
    for source in (*in_hdfs.sources, *locally.sources):
        log.info("delivered: %s", source)
    if problems := [*in_hdfs.problems, *locally.problems]:
        raise RuntimeError("could not be delivered: " + "; ".join(problems))


def review_runs(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each held dump, the run of `review_dump` in which a person decides; always the same for the same delivery."""
    return [
        {
            "trigger_run_id": f"held__{dump['dump_sha256'][:16]}__{dump['delivered_at']:%Y%m%dT%H%M%S}",
            "conf": {"dump_sha256": dump["dump_sha256"]},
        }
        for dump in held
    ]


@dag(
    # Midnight UTC for what lies in the landing folders, and at once when the watched folder in HDFS has something new.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[LANDED_DUMPS]
    ),
    start_date=FIRST_DAY,
    catchup=True,  # a day that was missed is made up; a run with nothing new ends in seconds
    max_active_runs=1,  # dumps are loaded in the order of delivery; further triggers wait their turn
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={
        "dump": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Dump",
            description="A CSV file, plain or gzip: an http(s) URL, an hdfs:// URI, or a path in the landing folder that "
            "Airflow's workers share. It needs the columns `tweet_id` and `safe_text` (or `safe_tweet`); `label` and `agreement` are optional. "
            "Leave it empty to take whatever lies in the landing folders.",
        ),
        # The gate's thresholds. 4 of 13,189 real records are in quarantine; real texts have some 100 characters.
        "most_quarantined": Param(
            0.05,
            type="number",
            minimum=0,
            maximum=1,
            title="Hold above: quarantined",
            description="Share of a dump's records.",
        ),
        "most_label_distance": Param(
            0.15,
            type="number",
            minimum=0,
            maximum=1,
            title="Hold above: label distance",
            description="Total variation distance between the label shares of a dump and of the dumps before it, 0 to 1.",
        ),
        "shortest_text": Param(
            10, type="number", minimum=0, title="Hold below: median text", description="In characters."
        ),
        "longest_text": Param(
            1000, type="number", minimum=0, title="Hold above: median text", description="In characters."
        ),
    },
)
def ingest_tweets() -> None:
    """Deliver, load, and tell what wants a person."""

    @task(task_id="deliver")
    def deliver_dumps() -> None:
        client = TimedWebHDFSHook().get_conn()
        try:
            deliver(get_current_context()["params"]["dump"], client, Path(os.environ["VAXPULSE_LANDING"]))
        except ValueError as error:
            fail_for_good(str(error))  # another try would find the same

    @task(
        trigger_rule="all_done"
    )  # a file that cannot be delivered or loaded keeps nobody from deciding about another
    def find_held() -> list[dict[str, Any]]:
        held = read_dumps("state = 'held'")
        for dump in held:
            log.warning("%s is held: %s", dump["source"], dump["reason"])
        return review_runs(held)

    @task(trigger_rule="none_failed")  # also when nothing was loaded
    def report() -> None:
        run_id = get_current_context()["run_id"]
        failed = (get_current_context()["ti"].xcom_pull(task_ids="load_dumps") or {}).get("failed", [])
        wrong = [f"{source} could not be read or stored: see the log of load_dumps" for source in failed]
        wrong += [
            f"{dump['source']} is refused: {dump['reason']}"
            for dump in read_dumps("state = 'refused'")
            if dump["run_id"] == run_id
        ]
        if wrong:
            fail_for_good("; ".join(wrong))

    load = loading_task(
        "load_dumps",
        {
            "delivered": f"{HDFS}{DELIVERED_FOLDER}",
            **LOADING_ARGUMENTS,
            "run-id": "{{ run_id }}",
            "most-quarantined": "{{ params.most_quarantined }}",
            "most-label-distance": "{{ params.most_label_distance }}",
            "shortest-text": "{{ params.shortest_text }}",
            "longest-text": "{{ params.longest_text }}",
            # A run that has loaded something and then died tells nobody: the nightly run does, of all that came since the night before.
            "signalled-until": "'{{ prev_end_date_success or '' }}'",
        },
        outlets=[TWEETS_RAW],
        **writes_tables(LOAD),
        trigger_rule="all_done",  # what was delivered does not wait for what could not be
    )
    delivered, held = deliver_dumps(), find_held()
    delivered >> load >> held
    [delivered, load] >> report()
    TriggerDagRunOperator.partial(
        task_id="ask_for_review",
        trigger_dag_id="review_dump",
        logical_date=None,  # the run is about a dump, not about a day
        skip_when_already_exists=True,
    ).expand_kwargs(held)


ingest_tweets()
