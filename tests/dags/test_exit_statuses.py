"""Exit statuses mean the same for every command: 65 fails without a retry, 99 skips, others are retried."""

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from tests.dags.test_commands import render


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that replaces `python` and `spark-submit` by programs with an exit status."""

    def replace(status):
        for name in ("python", "spark-submit"):
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{{}}'\nexit {status}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return replace


@pytest.mark.parametrize(
    ("status", "error"), [(65, AirflowFailException), (99, AirflowSkipException), (1, AirflowException)]
)
@pytest.mark.parametrize(
    "path",
    [
        "ingest_tweets.load_dumps",
        "review_dump.apply_decision",
        "retract_dump.retract",
        "reopen_dump.reopen",
        "withdraw_mapping.withdraw",
        "clean_tweets.clean_tweets",
        "tune_classifier.tune",
        "train_classifiers.promote",
    ],
)
def test_exit_status_of_a_task(dag_bag, programs, path, status, error):
    dag_id, task_id = path.split(".")
    dag = dag_bag.dags[dag_id]
    task = dag.get_task(task_id).prepare_for_execution()
    if hasattr(task, "command"):
        task.command = [render(word, dag) for word in task.command]
        task.options = {name: render(value, dag) for name, value in task.options.items()}
    programs(0)
    task.execute({})
    programs(status)
    with pytest.raises(AirflowException) as raised:
        task.execute({})
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("status", "error"), [(65, AirflowFailException), (99, AirflowSkipException), (1, AirflowException)]
)
@pytest.mark.parametrize("path", ["train_classifiers.train", "cross_validate.fold"])
def test_exit_status_of_a_mapped_training(dag_bag, dag_module, programs, path, status, error):
    dag_id, task_id = path.split(".")
    settings = {"preset": "minilm", "folds": 1, "settings": {"epochs": 1}}
    [options] = dag_module("cross_validate").build_fold_options(settings, None)
    if dag_id == "train_classifiers":
        options = {"preset": "minilm", "settings": settings["settings"]}
    programs(status)
    task = dag_bag.dags[dag_id].get_task(task_id).unmap({"options": options}).prepare_for_execution()
    with pytest.raises(AirflowException) as raised:
        task.execute({})
    assert type(raised.value) is error
