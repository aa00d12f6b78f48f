"""Command lines of the trainer, and the order of the tasks."""

import pyarrow
import pytest
from airflow.sdk.exceptions import AirflowFailException
from deltalake import write_deltalake

from deploy.installation import install
from vaxpulse_airflow.command import build_options, validate_options
from vaxpulse_dags.tables import latest_version
from vaxpulse_dags.training import (
    FOLD_SCHEMA,
    TRAIN_SCHEMA,
    build_fold_options,
    build_training_options,
    order_trainings,
)
from vaxpulse_dags.training_form import BASELINE, DEFAULT_MODEL

PARAMS = {
    "presets": ["minilm"],
    "train_again": False,
    "growth": 0.1,
    "settings": None,
    "teacher": None,
    "validate_every_steps": None,
    "devices": 1,
}
TABLES = "hdfs://namenode:8020/vaxpulse/tables"


def arguments(options):
    """Return the arguments that the mapped task adds to the command of `training.train`."""
    return build_options(validate_options(options, TRAIN_SCHEMA))


def test_all_folds_use_the_same_version():
    settings = {"epochs": 1}
    folds = build_fold_options({"preset": "minilm", "folds": 3, "settings": settings}, 7)
    same = {"preset": "minilm", "folds": 3, "settings": settings, "tweets_version": 7}
    assert folds == [same | {"fold": fold} for fold in range(3)]
    assert [validate_options(fold, FOLD_SCHEMA) for fold in folds] == folds


def test_each_preset_is_one_training():
    options = build_training_options(
        PARAMS | {"presets": ["minilm", "bert"]}, [], is_manual=True, version=7, scores_version=3
    )
    assert [arguments(each) for each in options] == [
        [f"--preset={preset}", "--tweets-version=7", "--skip-if-trained", "--scores-version=3"]
        for preset in ("minilm", "bert")
    ]


def test_scheduled_run_before_the_first_dump_trains_nothing():
    tables = {"version": None, "scores_version": None}
    assert build_training_options(PARAMS, [], is_manual=False, **tables) == []
    assert len(build_training_options(PARAMS, [], is_manual=True, **tables)) == 1


def test_trainings_read_the_tables_of_the_platform_with_low_priority(dag_bag):
    train = ["nice", "-n", "19", "python", "-m", "training.train"]
    mapped = dag_bag.dags["train_classifiers"].get_task("train")
    baseline = dag_bag.dags["train_classifiers"].get_task("train_baseline")
    assert mapped.partial_kwargs["command"] == [
        *train,
        f"--tweets={TABLES}/tweets_clean",
        f"--scores={TABLES}/tweets_scored",
    ]
    assert baseline.partial_kwargs["command"] == mapped.partial_kwargs["command"][3:]
    fold = dag_bag.dags["cross_validate"].get_task("fold")
    assert fold.partial_kwargs["command"][:3] == train[:3]


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
    (options,) = build_training_options(PARAMS | params, changed_assets, is_manual, 7, None)
    kept = [] if is_manual else ["--keep-recipe"]
    assert arguments(options) == ["--preset=minilm", "--tweets-version=7", *expected, *kept]


def test_a_scheduled_run_keeps_the_recipe_of_the_champion_beside_the_baseline():
    params = PARAMS | {"presets": ["tfidf", "minilm"]}
    baseline, other = build_training_options(params, [], is_manual=False, version=7, scores_version=3)
    assert (baseline["keep_recipe"], other["keep_recipe"]) == (False, True)
    assert other["scores_version"] == 3  # of the champion's teacher


def test_teacher_and_settings_are_options_of_the_trainer():
    entered = {"teacher": 2, "settings": {"checkpoint": "$(touch stolen); 'x' \"y\""}}
    (options,) = build_training_options(PARAMS | entered, [], is_manual=True, version=7, scores_version=3)
    assert arguments(options) == [
        "--preset=minilm",
        "--tweets-version=7",
        '--settings={"checkpoint": "$(touch stolen); \'x\' \\"y\\""}',
        "--skip-if-trained",
        "--teacher=2",
        "--scores-version=3",
    ]


def test_settings_and_teacher_do_not_apply_to_the_baseline_beside_other_models():
    params = PARAMS | {"presets": ["tfidf", "minilm"], "settings": {"epochs": 1}, "teacher": 2}
    baseline, other = build_training_options(params, [], is_manual=True, version=7, scores_version=3)
    assert arguments(baseline) == ["--preset=tfidf", "--tweets-version=7", "--skip-if-trained"]
    assert other["settings"] == {"epochs": 1}
    (alone,) = build_training_options(
        params | {"presets": ["tfidf"]}, [], is_manual=True, version=7, scores_version=3
    )
    assert (alone["settings"], alone["teacher"]) == ({"epochs": 1}, 2)  # the trainer refuses the settings


@pytest.mark.parametrize(
    ("presets", "require_approval", "first", "others"),
    [
        (["tfidf", "minilm"], False, ["tfidf"], ["minilm"]),
        (["minilm", "tfidf", "bert"], False, ["tfidf"], ["minilm", "bert"]),
        (["tfidf"], False, [], ["tfidf"]),
        (["minilm"], False, [], ["minilm"]),
        (["tfidf", "minilm"], True, [], ["tfidf", "minilm"]),
    ],
)
def test_baseline_is_trained_first_if_it_needs_no_approval_and_others_follow(
    presets, require_approval, first, others
):
    ordered = order_trainings([{"preset": preset} for preset in presets], require_approval)
    assert [each["preset"] for each in ordered["baseline"]] == first
    assert [each["preset"] for each in ordered["others"]] == others


def test_first_baseline_becomes_the_champion_before_the_other_trainings(dag_bag):
    dag = dag_bag.dags["train_classifiers"]
    assert dag.params["presets"] == ["tfidf", "bge-small"]
    promote = dag.get_task("promote_baseline")
    assert promote.upstream_task_ids == {"train_baseline"}
    assert promote.trigger_rule == "all_success"  # without a new baseline there is nothing to promote
    assert [asset.name for asset in promote.outlets] == ["models"]
    assert "--first-champion" in promote.command
    train = dag.get_task("train")
    assert train.upstream_task_ids == {"plan_trainings", "promote_baseline"}
    for planning in ("plan_baseline", "plan_trainings"):  # on the same version of the table
        assert dag.get_task(planning).upstream_task_ids == {"plan"}
    assert train.trigger_rule == "all_done"
    assert dag.get_task("compare").upstream_task_ids == {"train"}


@pytest.mark.parametrize(
    "edited",
    [
        ["sh", "-c", "touch stolen"],  # a command line, as XComs of earlier versions were
        {"preset": "minilm", "output": "/etc"},
        {"preset": "minilm", "teacher": "2; touch stolen"},
        {"preset": "--output=/etc"},
    ],
)
def test_edited_xcom_cannot_choose_the_program_or_other_options(dag_bag, edited):
    mapped = dag_bag.dags["train_classifiers"].get_task("train")
    task = mapped.unmap({"options": edited}).prepare_for_execution()
    with pytest.raises(AirflowFailException, match="the options of the command are invalid"):
        task.execute({})


@pytest.mark.parametrize("edited", [{"version": "3 --experiment=x"}, {"version": "3", "instead_of": "x"}])
def test_edited_result_of_the_comparison_is_not_promoted(dag_bag, edited):
    task = dag_bag.dags["train_classifiers"].get_task("promote").prepare_for_execution()
    task.options = edited
    with pytest.raises(AirflowFailException, match="the options of the command are invalid"):
        task.execute({})


def test_no_task_starts_a_shell(dag_bag):
    tasks = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    commands = [
        task.partial_kwargs.get("command", []) if task.is_mapped else getattr(task, "command", [])
        for task in tasks
    ]
    assert any(commands)
    assert not [command for command in commands if {"sh", "bash", "-c"} & set(command)]


def test_no_command_contains_a_value_of_an_xcom_of_a_training_task(dag_bag):
    for dag_id in ("train_classifiers", "tune_classifier", "cross_validate"):
        for task in dag_bag.dags[dag_id].tasks:
            command = (
                task.partial_kwargs.get("command", []) if task.is_mapped else getattr(task, "command", [])
            )
            assert not [word for word in command if "xcom" in word], task


def test_approval_is_optional_and_a_better_model_is_promoted_with_and_without_it(dag_bag):
    dag = dag_bag.dags["train_classifiers"]
    assert dag.get_task("choose").downstream_task_ids == {"approve", "promote"}
    assert dag.get_task("approve").downstream_task_ids == {"promote"}
    assert dag.get_task("promote").trigger_rule == "none_failed_min_one_success"


def test_a_failed_training_blocks_no_other_and_fails_the_run(dag_bag):
    dag = dag_bag.dags["train_classifiers"]
    assert dag.get_task("train").trigger_rule == dag.get_task("compare").trigger_rule == "all_done"
    last = dag.get_task("all_trained")
    assert last.upstream_task_ids == {"train_baseline", "promote_baseline", "train"}
    assert (last.trigger_rule, last.downstream_task_ids) == ("none_failed", set())


def test_presets_in_the_form_are_those_of_the_trainer(dag_bag):
    # dags/ and training/ do not import each other, but a test may import both.
    from training.models import presets

    offered = dag_bag.dags["train_classifiers"].params.get_param("presets").schema["items"]["enum"]
    assert sorted(offered) == sorted(presets.PRESETS)
    assert dag_bag.dags["cross_validate"].params.get_param("preset").schema["enum"] == offered
    assert sorted(dag_bag.dags["tune_classifier"].params.get_param("preset").schema["enum"]) == sorted(
        presets.TRANSFORMERS
    )
    assert presets.BASELINE == BASELINE
    assert DEFAULT_MODEL == install.DEFAULT_MODEL
