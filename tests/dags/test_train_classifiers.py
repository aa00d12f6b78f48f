"""Command lines of the trainer, and the order of the tasks."""

import json
import subprocess

import pyarrow
import pytest
from deltalake import write_deltalake

from vaxpulse_dags.tables import latest_version
from vaxpulse_dags.training import build_fold_commands, build_training_commands

PARAMS = {"presets": ["minilm"], "train_again": False, "growth": 0.1, "settings": None, "teacher": None}
TWEETS = "--tweets=hdfs://namenode:8020/vaxpulse/tables/tweets_clean"
TRAIN = ["nice", "-n", "10", "python", "-m", "training.train"]


def test_all_folds_use_the_same_version():
    commands = build_fold_commands({"preset": "minilm", "folds": 3, "settings": None}, "run", 7)
    folds = [[word for word in command if word.startswith("--fold=")] for command in commands]
    assert folds == [["--fold=0"], ["--fold=1"], ["--fold=2"]]
    assert all({TWEETS, "--tweets-version=7", "--folds=3"} <= set(command) for command in commands)


def test_each_preset_is_one_command():
    commands = build_training_commands(
        PARAMS | {"presets": ["minilm", "bert"]}, [], is_manual=True, version=7, scores_version=3
    )
    assert commands == [
        [*TRAIN, f"--preset={preset}", TWEETS, "--tweets-version=7", "--skip-if-trained"]
        for preset in ("minilm", "bert")
    ]


def test_latest_version_of_a_missing_table_is_none(tmp_path):
    assert latest_version(str(tmp_path / "missing")) is None
    for _ in range(2):
        write_deltalake(tmp_path / "table", pyarrow.table({"a": [1]}), mode="append")
    assert latest_version(str(tmp_path / "table")) == 1


@pytest.mark.parametrize(
    ("changed_assets", "is_manual", "params", "expected"),
    [
        # New tweets: only if the labelled tweets have grown, or if settings have changed.
        (["tweets_clean"], False, {}, ["--skip-if-trained", "--min-growth=0.1"]),
        (
            ["tweets_clean"],
            False,
            {"growth": 0.2, "train_again": True},
            ["--skip-if-trained", "--min-growth=0.2"],
        ),
        # Drift, the weekly schedule, a manual run: if anything has changed.
        (["drift"], False, {}, ["--skip-if-trained"]),
        (["tweets_clean", "drift"], False, {}, ["--skip-if-trained"]),
        ([], False, {}, ["--skip-if-trained"]),
        ([], True, {}, ["--skip-if-trained"]),
        ([], True, {"train_again": True}, []),
    ],
)
def test_trigger_of_the_run_decides_whether_a_training_is_due(changed_assets, is_manual, params, expected):
    (command,) = build_training_commands(PARAMS | params, changed_assets, is_manual, None, None)
    assert set(command) == {*TRAIN, "--preset=minilm", TWEETS, *expected}


def test_teacher_is_a_model_version_with_the_scores_of_the_platform():
    (command,) = build_training_commands(
        PARAMS | {"teacher": 2}, [], is_manual=True, version=7, scores_version=3
    )
    scores = "--scores=hdfs://namenode:8020/vaxpulse/tables/tweets_scored"
    assert {"--teacher=2", scores, "--scores-version=3"} <= set(command)


def test_settings_are_passed_to_the_trainer_and_not_interpreted_by_the_shell(tmp_path):
    settings = {"checkpoint": "$(touch stolen); 'x' \"y\"", "learning_rate": 0.0001}
    (command,) = build_training_commands(
        PARAMS | {"settings": settings}, [], is_manual=True, version=None, scores_version=None
    )
    position = command.index("python")
    assert command[position:] == [*TRAIN[3:], "--preset=minilm", TWEETS, "--skip-if-trained"]
    program = 'case "$2" in --preset-file=*) cat "${2#--preset-file=}";; esac; exit 65'
    run = subprocess.run(
        [*command[:position], "sh", "-c", program, "sh", "an argument"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(run.stdout) == settings
    assert run.returncode == 65
    assert list(tmp_path.iterdir()) == []


def test_approval_is_optional_and_a_better_model_is_promoted_with_and_without_it(dag_bag):
    dag = dag_bag.dags["train_classifiers"]
    assert dag.get_task("choose").downstream_task_ids == {"approve", "promote"}
    assert dag.get_task("approve").downstream_task_ids == {"promote"}
    assert dag.get_task("promote").trigger_rule == "none_failed_min_one_success"
    assert dag.get_task("compare").trigger_rule == "none_failed_min_one_success"


def test_presets_in_the_form_are_those_of_the_trainer(dag_bag):
    # dags/ and training/ do not import each other, but a test may import both.
    from training.models.presets import PRESETS

    offered = dag_bag.dags["train_classifiers"].params.get_param("presets").schema["items"]["enum"]
    assert sorted(offered) == sorted(PRESETS)
    for dag_id in ("tune_classifier", "cross_validate"):
        assert dag_bag.dags[dag_id].params.get_param("preset").schema["enum"] == offered
