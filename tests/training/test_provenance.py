import json
import subprocess
import sys

import torch

from training import provenance
from training.provenance import is_gone, process_tags


def test_the_commit_is_git_s_and_says_when_files_differ(monkeypatch) -> None:
    answers = {"rev-parse": "c0ffee\n", "status": ""}
    monkeypatch.delenv("VAXPULSE_COMMIT", raising=False)
    monkeypatch.setattr(subprocess, "check_output", lambda command, **_: answers[command[3]])
    assert provenance.git_commit() == "c0ffee"
    answers["status"] = " M training/train.py\n"
    assert provenance.git_commit() == "c0ffee-dirty"


def test_an_image_without_git_says_its_commit_by_environment(monkeypatch) -> None:
    def no_git(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "check_output", no_git)
    assert provenance.git_commit() == "unknown"
    monkeypatch.setenv("VAXPULSE_COMMIT", "abc")
    assert provenance.git_commit() == "abc"


def test_versions_cover_what_can_change_a_result() -> None:
    versions = provenance.library_versions()
    assert versions["torch"] == torch.__version__.split("+")[0]
    assert {"python", "transformers", "tokenizers", "deltalake"} <= set(versions)


def test_a_process_is_alive_until_it_ends() -> None:
    code = "import sys, json; from training.provenance import process_tags; print(json.dumps(process_tags()), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tags = json.loads(process.stdout.readline())
        assert not is_gone(tags, {})
        process.kill()
        process.wait()
        assert is_gone(tags, {})


def test_a_number_that_another_process_has_got_since_is_not_the_process() -> None:
    tags = process_tags()
    pid, started = tags["process"].split()
    assert not is_gone(tags, {})
    assert is_gone(tags | {"process": f"{pid} {int(started) - 1}"}, {})


def test_nothing_is_known_of_a_process_on_another_machine_unless_it_was_an_earlier_try_of_this_task() -> None:
    this_try = {"airflow_run_id": "manual__1", "config_digest": "c"}
    elsewhere = {"host": "another", "process": "1 1", "airflow_run_id": "manual__1", "config_digest": "c"}
    assert is_gone(elsewhere, this_try)
    assert not is_gone(elsewhere, this_try | {"airflow_run_id": "manual__2"})
    assert not is_gone(elsewhere, {})
    assert not is_gone({}, {})
