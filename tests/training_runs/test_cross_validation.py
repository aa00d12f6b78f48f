"""Folds as Airflow starts them, and their summary from MLflow."""

import json

from training import cross_validate


def test_folds_become_a_table_and_a_page(
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
    assert cross_validate.main(["summary", *common]) == 1
    assert capsys.readouterr().err.endswith(
        "error: the cross-validation n has no finished run of the folds [1]\n"
    )
    assert cross_validate.main(["fold", *common, "--fold", "1", *options]) == 0
    folds.append(json.loads(capsys.readouterr().out.splitlines()[-1]))

    assert cross_validate.main(["summary", *common, "--report", str(tmp_path)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["mean_accuracy"] == sum(fold["fold_accuracy"] for fold in folds) / 2
    page = (tmp_path / "report.html").read_text()
    assert "<h1>2 folds of bert</h1>" in page
    assert f"{folds[1]['fold_rmse']:.4f}" in page
