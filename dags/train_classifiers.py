"""### Fine-tune classifiers and compare them in MLflow

**What.** Fine-tunes one model for each chosen preset on the `train` side of `tweets_clean` and measures it on the `eval` side: accuracy,
macro-F1, and the RMSE of p(+1) - p(-1). Parameters, losses, metrics, the table's version and the model go to MLflow.

**When.** After every run that changed `tweets_clean`, with the presets below; or when somebody presses *Trigger* and chooses others.
When neither the labelled tweets nor the settings have changed since a finished run, that run stands and `train` is skipped,
unless *Train again* is chosen. It is skipped, too, when no tweet has a label.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`. Presets other than `minilm` need their weights: see `docs/training.md`.

**If it fails.** The log's last line says why, for weights that are not there also how to provide them. Clear the task to try again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag, get_current_context, task

from common.assets import MODELS, TWEETS_CLEAN
from common.defaults import DEFAULT_ARGS, FIRST_DAY, GPU, REPOSITORY, SHELL_ENVIRONMENT

PRESETS = ["minilm", "bert", "roberta"]


def training_commands(params: Mapping[str, Any]) -> list[str]:
    """Return the trainer's command line for each chosen preset."""
    again = "" if params["train_again"] else " --skip-if-trained"
    return [f"python -m training.train --preset {preset} --tweets {TWEETS_CLEAN.uri}{again}" for preset in params["presets"]]


@dag(
    schedule=[TWEETS_CLEAN],
    start_date=FIRST_DAY,
    catchup=False,  # one run learns from all that is there
    max_active_runs=1,  # two fine-tunings would share the same cores or the same GPU
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    params={
        "presets": Param(
            ["minilm"],
            type="array",
            minItems=1,
            uniqueItems=True,
            items={"type": "string", "enum": PRESETS},
            examples=PRESETS,
            title="Models",
            description="One fine-tuning for each, one after the other.",
        ),
        "train_again": Param(
            False,
            type="boolean",
            title="Train again",
            description="Also when MLflow has a finished run with the same settings on the same tweets.",
        ),
    },
)
def train_classifiers() -> None:
    """Run the trainer once for each chosen preset."""

    @task
    def build_commands() -> list[str]:
        return training_commands(get_current_context()["params"])

    BashOperator.partial(
        task_id="train",
        cwd=str(REPOSITORY),
        max_active_tis_per_dagrun=1,
        env=SHELL_ENVIRONMENT,
        append_env=True,
        outlets=[MODELS],
        **GPU,
    ).expand(bash_command=build_commands())


train_classifiers()
