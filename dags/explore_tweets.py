"""### Explore the tweets: a report with figures

**What.** One Spark job writes a report. It shows labels, text lengths, annotator agreement and word clouds.
It lists the hashtags, emoji and word pairs that are typical of each label, and duplicates with conflicting
labels. It shows what cleaning removed, and the changes since the previous table version. The report is in the
tab *Report* of the run, in HDFS, and in MLflow's experiment `vaxpulse-reports`.

**When.** After each run that changed `tweets_clean`, or on *Trigger*.

**Needs.** The connection `spark_default`, and MLflow at `MLFLOW_TRACKING_URI`.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: each attempt writes the
same files.
"""

from airflow.sdk import dag

from vaxpulse_dags.assets import TWEETS_CLEAN, report_uri
from vaxpulse_dags.tasks import DEFAULT_ARGS, SCORED_WRITES, START_DATE, spark_job, takes_slot


@dag(
    schedule=[TWEETS_CLEAN],
    start_date=START_DATE,
    catchup=False,  # a report describes the latest version of the table
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["explore"],
    user_defined_macros={"report_uri": report_uri},
)
def explore_tweets() -> None:
    """Run one Spark job."""
    spark_job(
        "explore_tweets",
        {
            "tweets-clean": TWEETS_CLEAN.uri,
            "report": "{{ report_uri(dag.dag_id, run_id) }}",
            "run-id": "{{ run_id }}",
        },
        inlets=[TWEETS_CLEAN],
        low_priority=True,
        **takes_slot(SCORED_WRITES),
    )


explore_tweets()
