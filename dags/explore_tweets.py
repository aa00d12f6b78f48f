"""### Explore the tweets: a report that people look at

**What.** One Spark job counts the tweets, draws figures and writes a page. The page shows labels, text lengths, agreement of the annotators, and
word clouds. It lists the hashtags, emoji and word pairs that tell the labels apart, and duplicates with conflicting labels. It shows what cleaning
removed, and what has changed since the version before. Airflow shows it in the tab *Report* of the run. HDFS keeps it below `/vaxpulse/reports`,
MLflow in the experiment `vaxpulse-reports`.

**When.** After every run that changed `tweets_clean`; or when somebody presses *Trigger*.

**Needs.** The connection `spark_default`, and MLflow at `MLFLOW_TRACKING_URI`.

**If it fails.** The log's last line says why. Clear the task to try again: each try writes the same files.
"""

from __future__ import annotations

from airflow.sdk import dag

from common.assets import TWEETS_CLEAN, report_uri
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
            "report": "{{ report_uri(dag.dag_id, run_id) }}",
            "run-id": "{{ run_id }}",
        },
    )


explore_tweets()
