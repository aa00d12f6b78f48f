"""Tasks and form fields of `apply_retention` and `erase_tweets`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from airflow.sdk import Param

from contracts import hdfs_paths
from contracts.retention import Period
from vaxpulse_airflow.command import CommandOperator
from vaxpulse_dags.tasks import build_options


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
        results: JSON of the steps raw, clean, scored and mlflow.
        reports: folders of deleted reports in HDFS.
    """
    raw, mlflow = results["raw"], results["mlflow"]
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
        ("reports deleted in MLflow", mlflow["reports_deleted"]),
        ("trainings whose files were rewritten", list(mlflow["files_rewritten"])),
    ):
        lines.append(f"{title}: {', '.join(values) or 'none'}")
    lines.append("models that were trained on these dumps:")
    for model in mlflow["models_trained_on_these_dumps"] or ["none"]:
        lines.append(f"- {model if isinstance(model, str) else describe_model(model)}")
    return "\n".join([*lines, "what remains:", *(f"- {each}" for each in REMAINS)])


def describe_model(model: Mapping[str, Any]) -> str:
    """Return a line about a model that was trained on erased tweets."""
    former = "a former champion" if model["was_champion"] else "never the champion"
    role = "the champion" if model["champion"] else former
    version = f"version {model['version']}" if model["version"] else "not registered"
    return (
        f"{model['preset']}, {version}, {role}, version {model['table_version']} of tweets_clean, "
        f"MLflow run {model['run']}"
    )
