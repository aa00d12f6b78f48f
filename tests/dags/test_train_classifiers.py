"""The trainer's command lines."""

import json
import os
import socket
import subprocess
import sys

import pyarrow
import pytest
from common.tables import newest_version
from deltalake import write_deltalake

PARAMS = {"presets": ["minilm"], "train_again": False, "growth": 0.1, "settings": None, "teacher": None}


def module_of(dag_bag, dag_id):
    """The file of a DAG as Airflow has imported it."""
    fileloc = dag_bag.dags[dag_id].fileloc
    return next(
        module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == fileloc
    )


@pytest.fixture
def training_commands(dag_bag):
    return module_of(dag_bag, "train_classifiers").training_commands


def test_all_folds_cut_the_same_version(dag_bag):
    commands = module_of(dag_bag, "cross_validate").fold_commands(
        {"preset": "minilm", "folds": 3, "settings": None}, "run", 7
    )
    assert [command.split("--fold ")[1].split()[0] for command in commands] == ["0", "1", "2"]
    assert all(command.endswith("/tweets_clean --tweets-version 7") for command in commands)


def test_each_preset_is_one_command(training_commands):
    commands = training_commands(
        PARAMS | {"presets": ["minilm", "bert"]}, [], by_hand=True, version=7, scores_version=3
    )
    assert all("/tweets_clean --tweets-version 7 --skip-if-trained" in command for command in commands)
    assert [command.split("--preset ")[1].split()[0] for command in commands] == ["minilm", "bert"]


def test_all_presets_learn_from_the_version_that_is_newest_when_the_run_begins(tmp_path):
    assert newest_version(str(tmp_path / "absent")) is None
    for _ in range(2):
        write_deltalake(tmp_path / "table", pyarrow.table({"a": [1]}), mode="append")
    assert newest_version(str(tmp_path / "table")) == 1


@pytest.mark.parametrize(
    ("changed_assets", "by_hand", "params", "due"),
    [
        # a dump of fifty tweets: only if the labelled tweets have grown, or the settings have changed
        (["tweets_clean"], False, {}, " --skip-if-trained --min-growth 0.1"),
        (
            ["tweets_clean"],
            False,
            {"growth": 0.2, "train_again": True},
            " --skip-if-trained --min-growth 0.2",
        ),
        # drift, weekly, by hand: if anything has changed
        (["drift"], False, {}, " --skip-if-trained"),
        (["tweets_clean", "drift"], False, {}, " --skip-if-trained"),
        ([], False, {}, " --skip-if-trained"),
        ([], True, {}, " --skip-if-trained"),
        ([], True, {"train_again": True}, ""),
    ],
)
def test_what_has_started_the_run_decides_when_a_training_is_due(
    changed_assets, by_hand, params, due, training_commands
):
    (command,) = training_commands(PARAMS | params, changed_assets, by_hand, None, None)
    assert (
        command
        == f"nice -n 10 python -m training.train --preset minilm --tweets hdfs://namenode:8020/vaxpulse/tables/tweets_clean{due}"
    )


def test_a_teacher_is_a_version_and_its_scores_are_those_of_the_platform(training_commands):
    (command,) = training_commands(PARAMS | {"teacher": 2}, [], by_hand=True, version=7, scores_version=3)
    assert command.endswith(
        " --teacher 2 --scores hdfs://namenode:8020/vaxpulse/tables/tweets_scored --scores-version 3"
    )


def test_settings_of_a_person_reach_the_trainer_and_not_the_shell(training_commands, tmp_path):
    settings = {"checkpoint": "$(touch stolen); 'x' \"y\"", "learning_rate": 0.0001}
    (command,) = training_commands(
        PARAMS | {"settings": settings}, [], by_hand=True, version=None, scores_version=None
    )
    shown = (
        command.replace("nice -n 10 python -m training.train", "cat")
        .replace("--preset minilm", "")
        .replace("--preset-file", "")
    )
    shown = shown.replace("--tweets hdfs://namenode:8020/vaxpulse/tables/tweets_clean --skip-if-trained", "")
    environment = os.environ | {"SETTINGS": json.dumps(settings)}
    read = subprocess.run(
        ["/bin/bash", "-c", shown], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(read) == settings
    assert list(tmp_path.iterdir()) == []


def test_a_person_is_asked_only_where_that_is_wanted_and_a_better_model_is_promoted_either_way(dag_bag):
    dag = dag_bag.dags["train_classifiers"]
    assert dag.get_task("choose").downstream_task_ids == {"ask", "promote"}
    assert dag.get_task("ask").downstream_task_ids == {"promote"}
    assert dag.get_task("promote").trigger_rule == "none_failed_min_one_success"
    assert dag.get_task("compare").trigger_rule == "none_failed_min_one_success"


def test_choices_of_the_comparison_in_the_form_are_those_of_the_trainer_s_room(dag_bag):
    from training.evaluation.comparison import METRICS

    assert sorted(dag_bag.dags["train_classifiers"].params.get_param("metric").schema["enum"]) == sorted(
        METRICS
    )


def test_presets_in_the_form_are_those_of_the_trainer(dag_bag):
    # The rooms do not import each other; a test may look at both.
    from training.models.presets import PRESETS

    offered = dag_bag.dags["train_classifiers"].params.get_param("presets").schema["items"]["enum"]
    assert sorted(offered) == sorted(PRESETS)
    for dag_id in ("tune_classifier", "cross_validate"):
        assert dag_bag.dags[dag_id].params.get_param("preset").schema["enum"] == offered


def test_command_runs_with_the_workers_path_whatever_the_shells_start_file_says(dag_bag, tmp_path):
    (tmp_path / ".bashrc").write_text("PATH=/another/python/bin\n")
    environment = os.environ | {"HOME": str(tmp_path), "SHLVL": "0"}  # as a service that no shell has started
    of_task = {"SHLVL": dag_bag.dags["train_classifiers"].get_task("train").partial_kwargs["env"]["SHLVL"]}
    a_socket, _other_end = socket.socketpair()  # Airflow gives its tasks one as their standard input
    command = ["/bin/bash", "-c", "echo $PATH"]
    seen = subprocess.run(
        command, env=environment | of_task, stdin=a_socket, capture_output=True, text=True, check=True
    ).stdout
    assert seen.strip() == environment["PATH"]
