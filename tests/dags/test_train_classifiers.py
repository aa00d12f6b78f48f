"""The trainer's command lines."""

import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def training_commands(dag_bag):
    fileloc = dag_bag.dags["train_classifiers"].fileloc
    return next(module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == fileloc).training_commands


def test_each_preset_is_one_command(training_commands):
    commands = training_commands({"presets": ["minilm", "bert"], "train_again": False})
    assert [command.split("--preset ")[1].split()[0] for command in commands] == ["minilm", "bert"]


def test_unchanged_training_is_skipped_unless_asked_for(training_commands):
    assert "--skip-if-trained" in training_commands({"presets": ["minilm"], "train_again": False})[0]
    assert "--skip-if-trained" not in training_commands({"presets": ["minilm"], "train_again": True})[0]


def test_presets_in_the_form_are_those_of_the_trainer(dag_bag):
    # The rooms do not import each other; a test may look at both.
    from training.presets import PRESETS

    offered = dag_bag.dags["train_classifiers"].params.get_param("presets").schema["items"]["enum"]
    assert sorted(offered) == sorted(PRESETS)


def test_command_runs_with_the_workers_path_whatever_the_shells_start_file_says(dag_bag, tmp_path):
    (tmp_path / ".bashrc").write_text("PATH=/another/python/bin\n")
    environment = os.environ | {"HOME": str(tmp_path), "SHLVL": "0"}  # as a service that no shell has started
    of_task = dag_bag.dags["train_classifiers"].get_task("train").partial_kwargs["env"]
    a_socket, _other_end = socket.socketpair()  # Airflow gives its tasks one as their standard input
    command = ["/bin/bash", "-c", "echo $PATH"]
    seen = subprocess.run(command, env=environment | of_task, stdin=a_socket, capture_output=True, text=True, check=True).stdout
    assert seen.strip() == environment["PATH"]
