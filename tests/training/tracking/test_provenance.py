import json
import subprocess
import sys

import torch

from training.tracking import provenance
from training.tracking.provenance import is_gone, process_tags


def test_the_commit_is_marked_if_files_differ(monkeypatch, tmp_path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        return subprocess.check_output(["git", *identity, *arguments], cwd=tmp_path, text=True).strip()

    file = tmp_path / "train.py"
    file.write_text("1")
    git("init", "--quiet")
    git("add", "train.py")
    git("commit", "--quiet", "--message", "first")
    git("tag", "--annotate", "v1", "--message", "first release")
    (tmp_path / "untracked").touch()
    monkeypatch.setattr(provenance, "__file__", str(file))
    monkeypatch.delenv("VAXPULSE_COMMIT", raising=False)
    assert provenance.git_commit() == git("rev-parse", "HEAD")
    file.write_text("2")
    assert provenance.git_commit() == f"{git('rev-parse', 'HEAD')}-dirty"


def test_without_git_the_commit_is_read_from_the_environment(monkeypatch) -> None:
    def no_git(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "check_output", no_git)
    assert provenance.git_commit() == "unknown"
    monkeypatch.setenv("VAXPULSE_COMMIT", "abc")
    assert provenance.git_commit() == "abc"


def test_versions_include_the_libraries_that_influence_results() -> None:
    versions = provenance.library_versions()
    assert versions["torch"] == torch.__version__.split("+")[0]
    assert {"python", "transformers", "tokenizers", "deltalake"} <= set(versions)


def test_a_process_is_gone_when_it_has_ended() -> None:
    code = (
        "import sys, json; from training.tracking.provenance import process_tags; "
        "print(json.dumps(process_tags()), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tags = json.loads(process.stdout.readline())
        assert not is_gone(tags, {})
        process.kill()
        process.wait()
        assert is_gone(tags, {})


def test_a_reused_process_number_is_detected() -> None:
    tags = process_tags()
    pid, started = tags["process"].split()
    assert not is_gone(tags, {})
    assert is_gone(tags | {"process": f"{pid} {int(started) - 1}"}, {})


def test_a_process_on_another_machine_is_gone_only_if_it_was_an_earlier_attempt_of_this_task() -> None:
    this_try = {"airflow_run_id": "manual__1", "config_digest": "c"}
    elsewhere = {"host": "another", "process": "1 1", "airflow_run_id": "manual__1", "config_digest": "c"}
    assert is_gone(elsewhere, this_try)
    assert not is_gone(elsewhere, this_try | {"airflow_run_id": "manual__2"})
    assert not is_gone(elsewhere, {})
    assert not is_gone({}, {})
