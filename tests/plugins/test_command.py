"""A command runs without a shell. Its exit status decides whether Airflow fails, skips or retries it."""

import sys

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from vaxpulse_airflow.command import REPOSITORY, CommandOperator, parse_json


@pytest.mark.parametrize(
    ("status", "error"),
    [(65, AirflowFailException), (99, AirflowSkipException), (1, AirflowException), (143, AirflowException)],
)
def test_exit_status_decides_whether_the_command_is_retried(status, error):
    with pytest.raises(AirflowException) as raised:
        CommandOperator(task_id="command", command=["sh", "-c", f"exit {status}"]).execute({})
    assert type(raised.value) is error


def test_last_line_of_the_output_is_the_result():
    command = ["sh", "-c", "echo progress; echo '{\"failed\": []}'"]
    assert CommandOperator(task_id="a", command=command, returns_json=True).execute({}) == {"failed": []}
    assert CommandOperator(task_id="b", command=command).execute({}) is None


@pytest.mark.parametrize("line", ["", "a warning of a library", '{"failed": ['])
def test_output_that_is_not_json_is_an_error_that_is_retried(line):
    # A library may write to stderr after the result. The retry of a command that is done returns its result.
    with pytest.raises(AirflowException, match="the last line of the output must be JSON") as raised:
        parse_json(line)
    assert type(raised.value) is AirflowException


def test_command_runs_in_the_repository_without_a_shell(tmp_path, monkeypatch):
    # As a login shell, bash would read ~/.bashrc, which may put another Python first on PATH.
    (tmp_path / ".bashrc").write_text("PATH=/another/python/bin\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    program = "import json, os, sys; print(json.dumps([os.getcwd(), os.environ['PATH'], sys.argv[1]]))"
    arguments = ["-c", program, "$(touch stolen); 'x' \"y\""]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    result = CommandOperator(task_id="a", command=[sys.executable, *arguments], returns_json=True).execute({})
    assert result == [str(REPOSITORY), "/usr/bin:/bin", arguments[-1]]


def test_command_and_its_arguments_are_templates():
    operator = CommandOperator(task_id="a", command=["echo", "{{ run_id }}"])
    operator.render_template_fields({"run_id": "manual; rm -r /"})
    assert operator.command == ["echo", "manual; rm -r /"]


def test_options_are_arguments_after_the_command_and_templates():
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    operator = CommandOperator(
        task_id="a",
        command=[sys.executable, "-c", program, "fold"],
        options={"version": "{{ run_id }}"},
        options_schema={"version": {"type": "string"}},
        returns_json=True,
    )
    operator.render_template_fields({"run_id": "$(rm -r /)"})
    assert operator.execute({}) == ["fold", "--version=$(rm -r /)"]


@pytest.mark.parametrize("options", [{"other": 1}, {"version": 1}, ["sh", "-c", "exit 0"], "sh"])
def test_options_that_do_not_match_the_schema_fail_without_a_retry(options):
    operator = CommandOperator(
        task_id="a", command=["true"], options=options, options_schema={"version": {"type": "string"}}
    )
    with pytest.raises(AirflowFailException, match="the options of the command are invalid"):
        operator.execute({})
