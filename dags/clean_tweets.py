"""### Clean the tweets and split them: `tweets_raw` becomes `tweets_clean`

**What.** First the data-quality gate looks at each dump that has not passed it: the share of quarantined records, the label shares against
all other dumps, the length of the texts. A breach stops the chain, and says what is wrong. Then one Spark job decodes, extracts and strips (hashtags, links, handles, emoji, punctuation), and puts every labelled tweet on one
side of the train/eval split by a hash of its text alone, so that a tweet never changes sides and copies of a text never part.

**When.** After every run that changed `tweets_raw`; or when somebody presses *Trigger*, to let a breach pass with a reason that is kept
in the table `quality_checks`.

**Needs.** The connection `spark_default`.

**If it fails.** The log's last line says why. A red `check_quality` wants a person: look at the dump it names. The job writes its table in one commit: clear the task to try again.
"""

from __future__ import annotations

import logging

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from vaxpulse_airflow import quality

from common.assets import DUMPS, QUALITY_CHECKS, TWEETS_CLEAN, TWEETS_RAW, VOCABULARY
from common.defaults import DEFAULT_ARGS, FIRST_DAY, spark_job

log = logging.getLogger(__name__)


@dag(
    schedule=[TWEETS_RAW],
    start_date=FIRST_DAY,
    catchup=False,  # one run reads all that is new, however many dumps came before it
    max_active_runs=1,  # one writer on the table at a time
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["clean"],
    params={
        "override_reason": Param(
            None,
            type=["null", "string"],
            minLength=10,
            title="Let a breach pass because",
            description="Why a dump that breaks a data-quality rule is good all the same. Recorded with your run.",
        )
    },
)
def clean_tweets() -> None:
    """Let the job run only on dumps that have passed the gate."""

    @task
    def check_quality() -> None:
        context = get_current_context()
        try:
            judged = quality.check(DUMPS, TWEETS_RAW.uri, QUALITY_CHECKS, context["run_id"], context["params"]["override_reason"])
        except quality.QualityBreachError as breach:
            raise AirflowFailException(str(breach)) from None  # another try would find the same
        for line in judged or ["every dump has passed before"]:
            log.info(line)

    check_quality() >> spark_job(
        "clean_tweets",
        {"tweets-raw": TWEETS_RAW.uri, "tweets-clean": TWEETS_CLEAN.uri, "vocabulary": VOCABULARY},
        outlets=[TWEETS_CLEAN],
    )


clean_tweets()
