"""The command line, the archive of the project, and the scripts for machines."""

import re
import subprocess
import sys
import tomllib

import pytest

from deploy.common.checkout import ENVIRONMENT, REPOSITORY
from deploy.common.errors import CommandError
from deploy.fabric import __main__ as command_line
from deploy.fabric import adapter, install, machines, project
from deploy.fabric.catalog import RECORDED
from tests.fabric.conftest import SPECIFICATIONS

SCRIPTS = sorted(machines.SCRIPTS.glob("*.sh"))


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["deploy.fabric", *map(str, arguments)])
    monkeypatch.setattr(adapter, "read_catalog", lambda: RECORDED)
    return command_line.main()


def test_wrong_specification_ends_with_status_1_and_the_field(monkeypatch, tmp_path, capsys):
    file = tmp_path / "slice.yaml"
    file.write_text((SPECIFICATIONS / "1.yaml").read_text().replace("TACC", "TACK"))
    assert run(monkeypatch, "plan", "--spec", file) == 1
    assert "site: 'TACK' is no site of FABRIC" in capsys.readouterr().err


def test_failed_login_is_explained(monkeypatch, capsys):
    def connect():
        raise CommandError("the login to FABRIC failed: token expired")

    monkeypatch.setattr(adapter, "connect", connect)
    for command in ("up", "status", "down"):
        assert run(monkeypatch, command, "--spec", SPECIFICATIONS / "1.yaml") == 1
        assert capsys.readouterr().err == "fabric: the login to FABRIC failed: token expired\n"


def test_question_that_nobody_can_answer_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    with pytest.raises(CommandError, match="use --yes"):
        command_line.ask("Create the slice?")


@pytest.mark.parametrize(("answer", "agreed"), [("y", True), ("YES ", True), ("n", False), ("", False)])
def test_only_yes_is_consent(monkeypatch, answer, agreed):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert command_line.ask("Create the slice?") == agreed


def test_errors_of_fablib_become_one_line():
    with (
        pytest.raises(CommandError, match=r"^the list of slices failed: token expired$"),
        adapter.explain("the list of slices"),
    ):
        raise RuntimeError("HTTP 401\ntoken expired\n")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.setattr(project, "REPOSITORY", folder)
    (folder / "file").write_text("content")
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "first"]):
        project.git(*command)
    return folder


def test_same_commit_gives_the_same_archive(checkout, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (project.write_archive(tmp_path / name) for name in ("a", "b"))
    assert (first.sha256, first.commit) == (second.sha256, second.commit)
    listed = subprocess.run(["tar", "-tzf", first.path], capture_output=True, text=True, check=True)
    assert listed.stdout == "file\n"


def test_changes_without_a_commit_are_an_error(checkout, tmp_path):
    (checkout / "untracked").write_text("ignored")
    (checkout / "file").write_text("changed")
    with pytest.raises(CommandError, match="for example file: commit them"):
        project.write_archive(tmp_path)


def test_folder_without_git_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "REPOSITORY", tmp_path)
    with pytest.raises(CommandError, match="`git status` failed"):
        project.write_archive(tmp_path)


def test_scripts_pass_shellcheck():
    command = [ENVIRONMENT / "bin" / "shellcheck", *SCRIPTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_scripts_are_strict_and_executable():
    assert len(SCRIPTS) == 5
    for script in SCRIPTS:
        assert script.read_text().startswith("#!/usr/bin/env bash\n# ")
        assert "\nset -euo pipefail\n" in script.read_text()
        assert script.stat().st_mode & 0o111


def test_fablib_is_in_its_own_lock_only():
    lock = (REPOSITORY / install.LOCK).read_text()
    main = (REPOSITORY / "requirements.txt").read_text()
    assert "\nfabrictestbed-extensions==2.0.9 \\\n" in lock
    assert "fabrictestbed" not in main
    versions = {line.split(" ")[0] for line in main.splitlines() if "==" in line}
    names = {version.partition("==")[0] for version in versions}
    shared = {
        line.split(" ")[0] for line in lock.splitlines() if "==" in line and line.partition("==")[0] in names
    }
    assert shared
    assert shared <= versions  # the versions of requirements.txt are its constraints


def test_main_lock_has_all_other_extras():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [listed] = re.findall(r"^EXTRAS = (.+)$", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(listed.split()) == set(extras) - {"fabric"}


def test_lock_names_no_registry():
    assert "http" not in (REPOSITORY / install.LOCK).read_text()
