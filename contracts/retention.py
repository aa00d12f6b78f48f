"""Retention periods. `apply_retention` and `maintain_tables` delete older data."""

from dataclasses import dataclass
from datetime import timedelta

# Delta's default. VACUUM must not delete files earlier: running readers and writers, or the change data feed,
# may still need them.
MIN_RETENTION = timedelta(days=7)
DEFAULT_RETENTION = timedelta(days=30)
# Of files that users upload or download for inspection. A loaded dump has a copy in raw/.
UPLOAD_RETENTION = timedelta(days=7)


@dataclass(frozen=True)
class Period:
    """Days for which something stays on disk. They are a Param of `apply_retention`.

    Attributes:
        name: name of the Param.
        title: title of its field.
        description: data that is deleted after the period, and data that is never deleted.
        days: default. None: nothing is deleted.
        min_days: shortest period.
    """

    name: str
    title: str
    description: str
    days: int | None
    min_days: int


PERIODS = (
    Period(
        "report_days",
        "Reports",
        "Reports and exports in HDFS and MLflow. The newest report of each DAG and the comparison that chose "
        "the champion stay.",
        30,
        1,
    ),
    Period(
        "model_days",
        "Models",
        "Model files of MLflow runs, and copies in HDFS. Params and metrics stay. The champion, the newest "
        "run of each preset, and versions with an alias stay.",
        30,
        7,
    ),
    Period(
        "score_days",
        "Scores of former champions",
        "Rows of tweets_scored of models that have scored nothing for this time. The champion's scores stay.",
        90,
        7,
    ),
    Period(
        "quarantine_days",
        "Quarantine",
        "Invalid records of dumps that were delivered and last changed longer ago. Those of held dumps stay.",
        90,
        7,
    ),
    Period("log_days", "Logs", "Task logs, logs of DAG files, and Spark's temporary files.", 30, 2),
    Period(
        "raw_days",
        "Dumps in raw/",
        "Files in raw/. They are the source of all tables. Empty: none is deleted. Files of held dumps stay.",
        None,
        7,
    ),
)
