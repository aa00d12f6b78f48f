"""### Score every tweet with the champion

**What.** One Spark job takes the champion from MLflow's registry and scores `tweets_clean` into `tweets_scored`. It scores tweets that are new,
and tweets whose text has changed. A new champion scores all tweets; the scores of earlier ones stay. The tab *Report* shows what people think,
by dump, day and hashtag. Each dump has a CSV and a Parquet file there to download. Dumps that are unlike the training data are named, and
start `train_classifiers`, once each.

**When.** After every run that changed `tweets_clean`, and when there is a new champion; or when somebody presses *Trigger*. Without a champion the run
is skipped.

**Needs.** The connection `spark_default`, and MLflow at `MLFLOW_TRACKING_URI`.

**If it fails.** The log's last line says why. Clear the task to try again: scores are written in one commit, and nothing is scored twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from common.assets import (
    DRIFT,
    DRIFT_TABLE,
    DUMPS,
    MODELS,
    MODELS_FOLDER,
    TWEETS_CLEAN,
    TWEETS_SCORED,
    report_uri,
)
from common.defaults import DEFAULT_ARGS, FIRST_DAY, SCORE, spark_job, writes_tables

log = logging.getLogger(__name__)

CHAMPION = "vaxpulse"  # the registered model in MLflow


def drifted_dumps() -> list[str]:
    """Return the SHA-256 of each dump that is unlike what some champion has learnt from."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    rows = (
        QueryBuilder()
        .register("drift", DeltaTable(DRIFT_TABLE))
        .execute("SELECT dump_sha256, breaches FROM drift ORDER BY judged_at")
    )
    return [row["dump_sha256"] for row in pyarrow.table(rows.read_all()).to_pylist() if row["breaches"]]


def not_told_yet(dumps: Iterable[str], events: Iterable[Any]) -> list[str]:
    """Return the dumps, each once, that no earlier event of the Asset has told of."""
    told = {dump for event in events for dump in event.extra.get("dumps", [])}
    return [dump for dump in dict.fromkeys(dumps) if dump not in told]


@dag(
    schedule=TWEETS_CLEAN | MODELS,
    start_date=FIRST_DAY,
    catchup=False,  # one run scores all that is new
    max_active_runs=1,  # what is new meanwhile is the next run's
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["score"],
    user_defined_macros={"report_uri": report_uri},
    params={
        "engine": Param(
            "auto",
            type="string",
            enum=["auto", "onnx", "sparknlp"],
            title="Engine",
            description="auto: the faster one. onnx: ONNX Runtime. sparknlp: Spark NLP, for BERT and DistilBERT.",
        ),
        "model_alias": Param(
            "champion",
            type="string",
            pattern="^[A-Za-z0-9_-]+$",
            title="Model",
            description="The alias in MLflow's registry of the version to score with.",
        ),
    },
)
def score_tweets() -> None:
    """Score, then tell of dumps that have moved away."""
    score = spark_job(
        "score_tweets",
        {
            "tweets-clean": TWEETS_CLEAN.uri,
            "tweets-scored": TWEETS_SCORED.uri,
            "dumps": DUMPS,
            "drift": DRIFT_TABLE,
            "models": MODELS_FOLDER,
            "model-name": CHAMPION,
            "model-alias": "{{ params.model_alias }}",
            "engine": "{{ params.engine }}",
            "report": "{{ report_uri(dag.dag_id, run_id) }}",
            "run-id": "{{ run_id }}",
        },
        outlets=[TWEETS_SCORED],
        **writes_tables(SCORE),
    )

    # The events themselves say which dumps they have told of: an event and the success of its task are one transaction in Airflow.
    @task(inlets=[DRIFT], outlets=[DRIFT])
    def tell_of_drift(*, inlet_events: Any = None, outlet_events: Any = None) -> None:
        dumps = not_told_yet(drifted_dumps(), inlet_events[DRIFT])
        if not dumps:
            raise AirflowSkipException("no dump has moved away that was not told of before")
        log.warning("unlike what the champion has learnt from: %s", ", ".join(dumps))
        outlet_events[DRIFT].extra = {"dumps": dumps}

    score >> tell_of_drift()


score_tweets()
