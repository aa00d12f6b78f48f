"""### Clean the tweets and split them: `tweets_raw` becomes `tweets_clean`

**What.** One Spark job takes the current tweet of each id that new dumps have touched: the newest delivery wins. It decodes HTML entities and
removes links, handles, hashtags, emoji and punctuation. A hash of the text alone puts each labelled tweet on one side of the train/eval
split. So a tweet never changes sides, and all copies of a text are on one side.

**When.** After every run that changed `tweets_raw`; or when somebody presses *Trigger*.

**Needs.** The connection `spark_default`.

**If it fails.** The log's last line says why. Clear the task to try again: the job goes on from what it has committed.
"""

from __future__ import annotations

from airflow.sdk import dag

from common.assets import TWEETS_CLEAN, TWEETS_RAW
from common.defaults import CLEAN, DEFAULT_ARGS, FIRST_DAY, spark_job, writes_tables


@dag(
    schedule=[TWEETS_RAW],
    start_date=FIRST_DAY,
    catchup=False,  # one run reads all that is new, however many dumps came before it
    max_active_runs=1,  # what is new meanwhile is the next run's
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["clean"],
)
def clean_tweets() -> None:
    """Run the one job."""
    spark_job(
        "clean_tweets",
        {"tweets-raw": TWEETS_RAW.uri, "tweets-clean": TWEETS_CLEAN.uri},
        outlets=[TWEETS_CLEAN],
        **writes_tables(CLEAN),
    )


clean_tweets()
