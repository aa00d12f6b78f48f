"""Commands of other packages as Airflow tasks. `contracts.exit_status` defines the exit statuses."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import context_to_airflow_vars

from contracts.exit_status import BAD_INPUT, DONE, NOTHING_TO_DO

REPOSITORY = Path(__file__).resolve().parents[2]


class CommandOperator(BaseOperator):
    """Runs a program without a shell in the repository. Its output is the task's log.

    Args:
        command: program and arguments (templated).
        returns_json: whether the last line of the output is JSON. Its value is the task's XCom.
    """

    template_fields = ("command",)

    def __init__(self, *, command: list[str], returns_json: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.command = command
        self.returns_json = returns_json

    @cached_property
    def hook(self) -> SubprocessHook:
        """Return the hook that holds the running process."""
        return SubprocessHook()

    def execute(self, context: Any) -> Any:
        """Run the command. Raise an exception according to its exit status."""
        # Training runs are tagged with the DAG and the run that these variables name.
        environment = os.environ | context_to_airflow_vars(context, in_env_var_format=True)
        result = self.hook.run_command(self.command, env=environment, cwd=str(REPOSITORY))
        raise_for_exit_status(result.exit_code)
        return parse_json(result.output) if self.returns_json else None

    def on_kill(self) -> None:
        """Send SIGTERM to the process group."""
        self.hook.send_sigterm()


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
