"""Commands of other packages as Airflow tasks. `contracts.exit_status` defines the exit statuses."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, Param
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    ParamValidationError,
)
from airflow.sdk.execution_time.context import context_to_airflow_vars

from contracts.exit_status import BAD_INPUT, DONE, NOTHING_TO_DO
from vaxpulse_airflow.links import HdfsLink, MlflowRunLink, ReportLink
from vaxpulse_airflow.task_output import ObservedLog, TaskOutput, describe_datasets

REPOSITORY = Path(__file__).resolve().parents[2]


class CommandOperator(BaseOperator):
    """Runs a program without a shell in the repository. Its output is the task's log.

    Args:
        command: program and arguments (templated). No value of an XCom may be part of it, because users with
            Airflow's permission to edit XComs could choose the program.
        options: values of further options (templated), which may come from XComs.
        options_schema: JSON schema of each option. Other options are rejected.
        returns_json: whether the last line of the output is JSON. Its value is the task's XCom.
    """

    template_fields = ("command", "options")
    operator_extra_links = (MlflowRunLink(), HdfsLink(), ReportLink())

    def __init__(
        self,
        *,
        command: list[str],
        options: Mapping[str, Any] | None = None,
        options_schema: Mapping[str, Any] | None = None,
        returns_json: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.command = command
        self.options = options or {}
        self.options_schema = options_schema or {}
        self.returns_json = returns_json

    @cached_property
    def hook(self) -> "ObservedHook":
        """Return the hook that holds the running process."""
        return ObservedHook()

    def execute(self, context: Any) -> Any:
        """Run the command. Raise an exception according to its exit status."""
        # Training runs are tagged with the DAG and the run that these variables name.
        environment = os.environ | context_to_airflow_vars(context, in_env_var_format=True)
        command = [*self.command, *build_options(validate_options(self.options, self.options_schema))]
        self.output_lines = self.hook.output = TaskOutput(context)
        result = self.hook.run_command(command, env=environment, cwd=str(REPOSITORY))
        raise_for_exit_status(result.exit_code)
        self.is_done = True
        self.output_lines.describe_changes(self.outlets)
        return parse_json(result.output) if self.returns_json else None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the datasets for an OpenLineage event."""
        return describe_datasets(self)

    def on_kill(self) -> None:
        """Send SIGTERM to the process group."""
        self.hook.send_sigterm()


class ObservedHook(SubprocessHook):
    """SubprocessHook whose output is also read by TaskOutput."""

    output: TaskOutput | None = None

    @property
    def log(self) -> Any:
        """Return the log of the hook."""
        log = super().log
        return ObservedLog(log, self.output.read) if self.output else log


def validate_options(options: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options. Raise AirflowFailException if one is unknown or has an invalid value."""
    param = Param(type="object", properties=dict(schema), additionalProperties=False)
    try:
        return dict(param.resolve(options))
    except ParamValidationError as error:
        [problem] = error.args
        raise AirflowFailException(
            f"the options of the command are invalid ({problem.message}): clear the task that computes them"
        ) from None


def build_options(options: Mapping[str, Any]) -> list[str]:
    """Return `--name=value` for each option, `--name` if it is True, and nothing if it is None or False.

    An object becomes JSON.

    >>> build_options({"margin": -0.03, "run_id": "a b", "compile": True, "version": None})
    ['--margin=-0.03', '--run-id=a b', '--compile']
    >>> build_options({"settings": {"epochs": 1}})
    ['--settings={"epochs": 1}']
    """
    values = {
        name: json.dumps(value) if isinstance(value, dict) else value for name, value in options.items()
    }
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in values.items()
        if value is not None and value is not False
    ]


def raise_for_exit_status(status: int) -> None:
    """Raise the exception that makes Airflow fail, skip or retry a task. Return if the status is DONE."""
    if status == BAD_INPUT:
        raise AirflowFailException(
            "the input is wrong, a retry would not help: see the last lines of the log"
        )
    if status == NOTHING_TO_DO:
        raise AirflowSkipException("there is nothing to do: the last lines of the log give the reason")
    if status != DONE:
        raise AirflowException(f"the command failed with exit status {status}: see the last lines of the log")


def parse_json(line: str) -> Any:
    """Return the value of a JSON document. Raise AirflowException if the line is not JSON."""
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise AirflowException(
            f"the last line of the output must be JSON ({error}), but it is {line!r}"
        ) from error
