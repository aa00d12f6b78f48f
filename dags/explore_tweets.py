"""### Explore the tweets: a report that people look at

**What.** One Spark job counts, draws and writes a page: labels, text lengths, agreement of the annotators, word clouds, the hashtags, emoji
and word pairs that tell the labels apart, duplicates and conflicting labels, what cleaning removed, and what has changed since the version
before. It is shown in the tab *Report* of the run, kept in HDFS below `/vaxpulse/reports`, and logged to MLflow (experiment `vaxpulse-reports`).

**When.** After every run that changed `tweets_clean`; or when somebody presses *Trigger*.

**Needs.** The connection `spark_default`, and MLflow at `MLFLOW_TRACKING_URI`.

**If it fails.** The log's last line says why. The report is written anew by each try: clear the task.
"""

from __future__ import annotations

from airflow.sdk import dag

from common.assets import TWEETS_CLEAN, TWEETS_RAW, report_uri
from common.defaults import DEFAULT_ARGS, FIRST_DAY, spark_job


@dag(
    schedule=[TWEETS_CLEAN],
    start_date=FIRST_DAY,
    catchup=False,  # a report is about the newest version
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["explore"],
    user_defined_macros={"report_uri": report_uri},
)
def explore_tweets() -> None:
    """Run the one job."""
    spark_job(
        "explore_tweets",
        {
            "tweets-clean": TWEETS_CLEAN.uri,
            "tweets-raw": TWEETS_RAW.uri,
            "report": "{{ report_uri(dag.dag_id, run_id) }}",
            "run-id": "{{ run_id }}",
        },
    )


explore_tweets()
