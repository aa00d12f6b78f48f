"""### Clean and split the tweets: `tweets_raw` to `tweets_clean`

**What.** One Spark job reads the current version of each tweet that changed. If a tweet is in several dumps,
the latest delivery wins. The job decodes HTML entities and removes links, handles, hashtags, emoji and
punctuation. It assigns each labelled tweet to `train` or `eval` by a hash of its text. So a tweet never
changes sides, and all copies of a text are on the same side.

**When.** After each run that changed `tweets_raw`, or on *Trigger*.

**Needs.** The connection `spark_default`.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: it continues after the
last commit.
"""

from airflow.sdk import dag

from vaxpulse_dags.assets import TWEETS_CLEAN, TWEETS_RAW
from vaxpulse_dags.tasks import CLEAN_WRITES, DEFAULT_ARGS, START_DATE, spark_job, takes_slot


@dag(
    schedule=[TWEETS_RAW],
    start_date=START_DATE,
    catchup=False,  # one run reads all changes, of any number of dumps
    max_active_runs=1,  # the next run reads the changes that are made during a run
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["clean"],
)
def clean_tweets() -> None:
    """Run one Spark job."""
    spark_job(
        "clean_tweets",
        {"tweets-raw": TWEETS_RAW.uri, "tweets-clean": TWEETS_CLEAN.uri},
        inlets=[TWEETS_RAW],
        outlets=[TWEETS_CLEAN],
        **takes_slot(CLEAN_WRITES),
    )


clean_tweets()
