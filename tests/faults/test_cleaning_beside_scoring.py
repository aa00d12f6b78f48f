"""A dump of 50 tweets is in `tweets_clean` within a minute while the champion scores 100,000 tweets.

It takes about ten minutes on two cores. VAXPULSE_SCORED_TWEETS changes the number of tweets.
"""

import os
from datetime import UTC, datetime

import pytest

from deploy.common.airflow_api import AirflowApi
from deploy.common.steps import wait_until
from tests.integration.conftest import Platform
from tests.integration.deliveries import connect_hdfs, land

SCORED_TWEETS = int(os.environ.get("VAXPULSE_SCORED_TWEETS", "100000"))
MAX_SECONDS = 60
SMALL_DUMP = "SELECT count(*) AS tweets FROM t WHERE tweet_id LIKE 'SMALL%'"


def tweets(prefix: str, count: int) -> bytes:
    """Return a dump of distinct unlabelled tweets."""
    rows = (f"{prefix}{number},story {number} about a vaccine and the clinic\n" for number in range(count))
    return ("tweet_id,safe_text\n" + "".join(rows)).encode()


def running_task(api: AirflowApi, dag_id: str) -> bool:
    """Return whether the task with the name of its DAG runs."""
    return any(
        task["task_id"] == dag_id and task["state"] == "running"
        for run_id in api.unfinished_runs(dag_id)
        for task in api.tasks(dag_id, run_id)
    )


@pytest.mark.timeout(3600)
def test_small_dump_is_cleaned_while_many_tweets_are_scored(platform: Platform) -> None:
    platform.make("run", f"DUMP={platform.dump}")
    api = platform.api()
    hdfs = connect_hdfs(platform.settings)
    scored = "SELECT count(*) AS tweets FROM t"
    wait_until(lambda: platform.query("tweets_scored", scored), 600, "no tweet was scored")
    wait_until(lambda: not running_task(api, "score_tweets"), 600, "the first scoring has not ended")
    land(hdfs, "many.csv", tweets("MANY", SCORED_TWEETS))
    wait_until(lambda: running_task(api, "score_tweets"), 900, "the scoring has not begun", pause_seconds=1)
    land(hdfs, "small.csv", tweets("SMALL", 50))
    wait_until(
        lambda: platform.query("tweets_clean", SMALL_DUMP) == [{"tweets": 50}],
        600,
        "the dump was not cleaned",
        pause_seconds=0.5,
    )
    cleaned_at = datetime.now(UTC)
    is_scoring = running_task(api, "score_tweets")
    [dump] = platform.query("dumps", "SELECT delivered_at, ingested_at FROM t WHERE source = 'small.csv'")
    seconds = (cleaned_at - dump["delivered_at"]).total_seconds()
    loaded = (dump["ingested_at"] - dump["delivered_at"]).total_seconds()
    print(f"loaded after {loaded:.1f} s, in tweets_clean after {seconds:.1f} s")
    assert is_scoring, "the scoring ended before: increase VAXPULSE_SCORED_TWEETS"
    assert seconds <= MAX_SECONDS
    # The scoring ends, and the next one scores the small dump.
    wait_until(
        lambda: platform.query("tweets_scored", SMALL_DUMP) == [{"tweets": 50}],
        1800,
        "the dump was not scored",
        pause_seconds=5,
    )
