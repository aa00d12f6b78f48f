"""Tasks and form fields of `apply_retention` and `erase_tweets`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from airflow.sdk import Param

from contracts import hdfs_paths
from contracts.retention import Period
from vaxpulse_airflow.command import CommandOperator
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_CLEAN, TWEETS_RAW, TWEETS_SCORED
from vaxpulse_dags.reviews import REASON_PARAM, SHA256
from vaxpulse_dags.tasks import build_options, loading_task

IDS_PARAM = Param(
    [],
    type="array",
    maxItems=1000,
    items={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    title="Ids of tweets",
    description_md="As in the table `tweets_raw`. Empty if a dump is given.",
    expected="up to 1,000 ids of letters, digits, hyphens and underscores, one on each line",
)
ERASURE_PARAMS = {
    "tweet_ids": IDS_PARAM,
    "dump_sha256": Param(None, type=["null", "string"], **SHA256, title="SHA-256 of a dump"),
    "reason": REASON_PARAM,
}
ERASURE_OPTIONS = LOADING_OPTIONS | {
    "tweets-clean": TWEETS_CLEAN.uri,
    "tweets-scored": TWEETS_SCORED.uri,
    "tweet-ids": "{{ params.tweet_ids | tojson }}",
    "dump-sha256": "{{ params.dump_sha256 or '' }}",
    "reason": "{{ params.reason }}",
}
MLFLOW_OPTIONS = {
    "reports": {"since": "{{ ti.xcom_pull(task_ids='erase_raw')['since'] or '' }}"},
    "trainings": {
        "dumps": "{{ ti.xcom_pull(task_ids='erase_raw')['dumps'] | tojson }}",
        "tweets-raw": TWEETS_RAW.uri,
    },
}


def period_param(period: Period) -> Param:
    """Return the form field of a period."""
    return Param(
        period.days,
        type="integer" if period.days else ["integer", "null"],
        minimum=period.min_days,
        title=f"{period.title}: days",
        description_md=period.description,
    )


def retention_task(
    what: str, param: str, options: Mapping[str, Any] = MappingProxyType({}), **operator_arguments: Any
) -> Any:
    """Return the task that runs a command of `retention.apply_retention`.

    Args:
        what: name of the command.
        param: Param that has its period in days.
        options: further options.
        operator_arguments: further arguments of CommandOperator.
    """
    days = {"days": f"{{{{ params.{param} }}}}"}
    return CommandOperator(
        task_id=what,
        command=["python", "-m", "retention.apply_retention", what, *build_options(days | dict(options))],
        **operator_arguments,
    )


def erase_from_tables(step: str, **arguments: Any) -> Any:
    """Return the task that erases from the tables of one pool."""
    erase = loading_task(
        "erasure.erase_tweets", ERASURE_OPTIONS, task_id=f"erase_{step}", returns_json=True, **arguments
    )
    erase.command.insert(3, step)
    return erase


def erase_from_mlflow(step: str, **arguments: Any) -> Any:
    """Return the task that erases reports, or files of trainings."""
    return CommandOperator(
        task_id=f"erase_mlflow_{step}",
        command=["python", "-m", "retention.erase_from_mlflow", step, *build_options(MLFLOW_OPTIONS[step])],
        returns_json=True,
        **arguments,
    )


REMAINS = (
    "the weights of the models above: train again, promote a new champion, then delete these versions",
    "downloads and copies that users have made",
    "backups (make backup): delete those that were made since the first delivery",
    f"the source of the file, and deliveries that wait in {hdfs_paths.LANDING} or {hdfs_paths.DELIVERED}",
    "Airflow's logs and reviews of held dumps, which show samples, until apply_retention deletes them",
)


def describe_erasure(results: Mapping[str, Any], reports: Sequence[str]) -> str:
    """Return the result of an erasure for a person.

    Args:
        results: JSON of the steps raw, clean, scored, mlflow (reports) and trainings.
        reports: folders of deleted reports in HDFS.
    """
    raw, trainings = results["raw"], results["trainings"]
    rows = {
        name: count for step in ("raw", "clean", "scored") for name, count in results[step]["rows"].items()
    }
    lines = ["deleted rows: " + ", ".join(f"{name} {count:,}" for name, count in rows.items())]
    for title, values in (
        ("dumps that contained the tweets", raw["dumps"]),
        ("files in raw/ rewritten", raw.get("files_rewritten", [])),
        ("files in raw/ deleted", raw.get("files_deleted", [])),
        ("unreadable files, searched by their bytes only", raw.get("not_searched_by_record", [])),
        ("reports deleted in HDFS", reports),
        ("reports deleted in MLflow", results["mlflow"]["reports_deleted"]),
        ("trainings whose files were rewritten", list(trainings["files_rewritten"])),
        (
            "trainings that MLflow lists as running: erase again when they have ended",
            trainings["trainings_running"],
        ),
    ):
        lines.append(f"{title}: {', '.join(values) or 'none'}")
    lines.append("models that were trained on these dumps:")
    for model in trainings["models_trained_on_these_dumps"] or ["none"]:
        lines.append(f"- {model if isinstance(model, str) else describe_model(model)}")
    return "\n".join([*lines, "remaining copies:", *(f"- {each}" for each in REMAINS)])


def describe_model(model: Mapping[str, Any]) -> str:
    """Return a line about a model that was trained on erased tweets."""
    former = "a former champion" if model["was_champion"] else "never the champion"
    role = "the champion" if model["champion"] else former
    version = f"version {model['version']}" if model["version"] else "not registered"
    return (
        f"{model['preset']}, {version}, {role}, version {model['table_version']} of tweets_clean, "
        f"MLflow run {model['run']}"
    )
