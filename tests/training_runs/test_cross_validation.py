"""Folds as Airflow starts them, their retries, and their summary from MLflow."""

import json
from pathlib import Path

import mlflow
import pytest

from contracts.exit_status import BAD_INPUT
from training import cross_validate
from training.fine_tuning import fine_tune as fine_tuning
from training.fine_tuning import loop
from training.fine_tuning.loop import STATE_FILE

REPOSITORY = Path(__file__).parents[2]


def test_the_summary_of_the_folds_is_a_table_and_a_page(
    tweets_table, tiny_bert, mlflow_store, monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    common = ["--name", "n", "--folds", "2", "--experiment", "compared"]
    options = [
        "--preset",
        "bert",
        "--tweets",
        tweets_table,
        "--tweets-version",
        "0",
        "--checkpoint",
        str(tiny_bert),
        "--max-train-rows",
        "32",
    ]
    folds = []
    assert cross_validate.main(["fold", *common, "--fold", "0", *options]) == 0
    folds.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert cross_validate.main(["summary", *common]) == BAD_INPUT
    assert capsys.readouterr().err.endswith(
        "error: the cross-validation n has no finished run of the folds [1]\n"
    )
    assert cross_validate.main(["fold", *common, "--fold", "1", *options]) == 0
    folds.append(json.loads(capsys.readouterr().out.splitlines()[-1]))

    assert cross_validate.main(["summary", *common, "--report", str(tmp_path)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["mean/accuracy"] == sum(fold["fold/accuracy"] for fold in folds) / 2
    page = (tmp_path / "report.html").read_text()
    assert "<h1>2 folds of bert</h1>" in page
    assert f"{folds[1]['fold/rmse']:.4f}" in page


def test_folds_in_parallel_processes_have_the_metrics_of_folds_one_by_one(
    tweets_table, tiny_bert, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums of several threads are rounded differently
    monkeypatch.chdir(REPOSITORY)
    options = ["fold", "--name", "p", "--folds", "2", "--preset", "bert", "--tweets", tweets_table]
    options += ["--checkpoint", str(tiny_bert), "--max-train-rows", "32", "--epochs", "1"]
    one_by_one = []
    for fold in ("0", "1"):
        assert cross_validate.main([*options, "--fold", fold]) == 0
        one_by_one.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert cross_validate.main([*options, "--parallel", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == one_by_one


class KilledError(Exception):
    """Simulates kill -9 during a training."""


def test_a_retry_resumes_a_killed_fold_and_does_not_repeat_a_finished_one(
    tweets_table, tiny_bert, mlflow_store, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    fold = ["fold", "--name", "retried", "--fold", "0", "--folds", "2", "--experiment", "compared"]
    fold += ["--preset", "bert", "--tweets", tweets_table, "--checkpoint", str(tiny_bert)]
    original, folders = fine_tuning.fine_tune, []

    def recorded(config, checkpoint, train, stop, folder, *rest, **options) -> fine_tuning.FineTuned:
        folders.append((folder / STATE_FILE).is_file())
        tuned = original(config, checkpoint, train, stop, folder, *rest, **options)
        if len(folders) == 1:
            raise KilledError
        return tuned

    monkeypatch.setattr(fine_tuning, "fine_tune", recorded)
    monkeypatch.setattr(loop, "STATE_SECONDS", 0)
    with pytest.raises(KilledError):
        cross_validate.main(fold)
    assert cross_validate.main(fold) == 0
    first = capsys.readouterr().out.splitlines()[-1]
    assert folders == [False, True]  # resumed
    assert cross_validate.main(fold) == 0
    assert len(folders) == 2  # not trained again
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == json.loads(first)
    runs = mlflow.search_runs(
        experiment_names=["compared"],
        filter_string="tags.cross_validation = 'retried' AND attributes.status = 'FINISHED'",
        output_format="list",
    )
    assert len(runs) == 1
