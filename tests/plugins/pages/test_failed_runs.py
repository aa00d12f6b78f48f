"""Failed runs on the page *Overview*, of a platform with many runs."""

from datetime import UTC, datetime, timedelta

import pytest

from vaxpulse_airflow.pages.data import runs

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class ManyRuns:
    """Airflow's REST API: it sorts runs by their end, and limits their number."""

    def __init__(self):
        self.runs, self.requests = [], 0

    def add(self, dag_id, state, *, count=1, **ago):
        """Add runs, five minutes apart. The last one ended some time ago."""
        for number in range(count):
            ended = (NOW - timedelta(**ago) - number * timedelta(minutes=5)).isoformat()
            self.runs.append(
                {"dag_id": dag_id, "dag_run_id": f"r {ended}", "state": state, "end_date": ended}
            )

    def get(self, path, query):
        self.requests += 1
        if path == "/api/v2/dags":
            return {"dags": [{"dag_id": dag_id} for dag_id in sorted({run["dag_id"] for run in self.runs})]}
        dag_id = path.split("/")[4]
        found = [
            run
            for run in sorted(self.runs, key=lambda run: run["end_date"], reverse=True)
            if dag_id in ("~", run["dag_id"])
            and run["state"] == query["state"]
            and run["end_date"] >= query.get("end_date_gte", "")
        ]
        return {"dag_runs": found[: query["limit"]]}


@pytest.fixture
def airflow():
    return ManyRuns()


def find(airflow):
    return [run["dag_id"] for run in runs.find_failed_runs(airflow, NOW)]


def test_repaired_failure_is_not_listed_although_other_dags_have_many_later_successes(airflow):
    airflow.add("watch_platform", "success", count=3_000, minutes=1)
    airflow.add("explore_tweets", "failed", days=5)
    airflow.add("explore_tweets", "success", days=4)
    airflow.add("clean_tweets", "failed", days=3)
    assert find(airflow) == ["clean_tweets"]
    assert airflow.requests == 3


def test_failures_of_one_dag_do_not_hide_those_of_others(airflow):
    airflow.add("watch_platform", "failed", count=120, minutes=1)
    airflow.add("score_tweets", "failed", hours=11)
    airflow.add("ingest_tweets", "success", hours=1)
    assert find(airflow) == ["watch_platform", "score_tweets"]
