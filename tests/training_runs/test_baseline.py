"""The baseline from the command line: training, logged model, comparison with a transformer, folds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from contracts.exit_status import NOTHING_TO_DO
from contracts.exported_model import NGRAMS, NGRAMS_FILE, ModelMetadata
from contracts.mlflow_names import CHAMPION_ALIAS, REGISTERED_MODEL
from onnx_model.exports import open_classifier
from training import compare, cross_validate, train

TEXTS = ["the vaccine works grateful", "never harm my child poison", ""]
PROBABILITIES = ["p_negative", "p_neutral", "p_positive"]


@pytest.fixture(scope="module")
def options(tweets_table) -> list[str]:
    return ["--preset", "tfidf", "--tweets", tweets_table, "--experiment", "baseline", "--hash-bits", "12"]


@pytest.fixture(scope="module")
def output(options, mlflow_store, tmp_path_factory) -> Path:
    """The output folder of a finished run, which Airflow started."""
    folder = tmp_path_factory.mktemp("baseline")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_store)
        environment.setenv("VAXPULSE_STATE", str(tmp_path_factory.mktemp("state")))
        environment.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
        environment.setenv("AIRFLOW_CTX_DAG_RUN_ID", "run-1")
        assert train.main([*options, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def server(mlflow_store, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    mlflow.set_tracking_uri(mlflow_store)


def finished_runs(preset: str = "tfidf") -> list:
    wanted = f"attributes.status = 'FINISHED' AND tags.preset = '{preset}'"
    return mlflow.search_runs(experiment_names=["baseline"], filter_string=wanted, output_format="list")


def logged_model(run) -> str:
    found = mlflow.search_logged_models(experiment_ids=[run.info.experiment_id], output_format="list")
    return next(model.model_uri for model in found if model.source_run_id == run.info.run_id)


def test_the_run_is_recorded_as_that_of_any_model(output) -> None:
    (run,) = finished_runs()
    assert run.data.metrics["eval/accuracy"] > 0.9
    assert run.data.metrics["validation/accuracy"] > 0.9
    assert run.data.params["config.inverse_regularisation"]
    assert run.data.params["device.kind"] == "cpu"
    artifacts = {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert artifacts == {
        *("confusion_matrix.png", "reliability.png", "metrics.png", "training_run.json"),
        *("confident_errors.csv", "eval_predictions.parquet", "tables"),
    }  # no losses, and no weights for another training
    metadata = ModelMetadata.read(output / "onnx")
    assert (metadata.architecture, metadata.preset, metadata.precision) == (NGRAMS, "tfidf", "float32")
    assert sum(map(sum, metadata.eval_confusion)) == metadata.eval_rows
    assert {file.name for file in (output / "onnx").iterdir()} == {NGRAMS_FILE, "metadata.json"}


def test_the_logged_model_predicts_without_the_trainer_and_without_onnx(output, tmp_path) -> None:
    (run,) = finished_runs()
    folder = mlflow.artifacts.download_artifacts(logged_model(run), dst_path=str(tmp_path))
    code = (
        "import importlib.util, sys, json, mlflow; assert importlib.util.find_spec('training') is None; "
        "scored = mlflow.pyfunc.load_model(sys.argv[1]).predict(json.loads(sys.argv[2])); "
        "assert not {'torch', 'onnxruntime'} & set(sys.modules); print(scored.to_json(orient='split'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code, folder, json.dumps(TEXTS)]
    printed = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    scored = json.loads(printed.splitlines()[-1])
    assert scored["columns"] == [*PROBABILITIES, "label", "score"]
    assert [row[3] for row in scored["data"][:2]] == [1, -1]
    expected = open_classifier(output / "onnx").probabilities(TEXTS)
    np.testing.assert_allclose([row[:3] for row in scored["data"]], expected, atol=1e-9)
    requirements = (Path(folder) / "requirements.txt").read_text()
    assert "scikit-learn==" in requirements
    assert "onnxruntime" not in requirements


def test_an_identical_run_is_skipped_and_another_config_is_not(output, options, monkeypatch) -> None:
    monkeypatch.setattr("training.ngrams.fit_ngrams", lambda *_: pytest.fail("trained again"))
    assert train.main([*options, "--skip-if-trained"]) == NOTHING_TO_DO
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        train.main([*options, "--skip-if-trained", "--inverse-regularisation", "9"])


def test_the_first_champion_is_the_baseline_until_a_better_model_is_promoted(
    output, tweets_table, tiny_bert, monkeypatch, capsys, tmp_path
) -> None:
    client = mlflow.MlflowClient()
    if client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):
        client.delete_registered_model(REGISTERED_MODEL)
    comparison = ["--tweets", tweets_table, "--experiment", "baseline", "--airflow-run-id"]
    first = [*comparison, "run-1", "--first-champion"]
    for _ in range(2):  # a retry after the promotion succeeds too, so that the tweets are scored
        assert compare.main(first) == 0
        champion = client.get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS)
        assert (str(champion.version), champion.tags["preset"]) == ("1", "tfidf")

    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "run-1")
    bert = ["--preset", "bert", "--checkpoint", str(tiny_bert), "--tweets", tweets_table]
    bert += ["--epochs", "1", "--max-train-rows", "32", "--experiment", "baseline"]
    assert train.main(bert) == 0
    capsys.readouterr()
    assert compare.main([*comparison, "run-1", "--report", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    # The untrained bert is worse, and the report says so.
    assert (result["preset"], result["promote"], result["instead_of"]) == ("tfidf", False, "1")
    page = (tmp_path / "report.html").read_text()
    assert "tfidf, version 1: the champion" in page
    assert "Difference between bert and tfidf" in page
    assert "worse" in page
    assert "that of the majority class" in client.get_model_version(REGISTERED_MODEL, "1").tags["reason"]

    # The other DAG run has no baseline of its own: the champion is one.
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "run-2")
    assert train.main([*bert, "--seed", "1"]) == 0
    assert compare.main([*comparison, "run-2", "--first-champion"]) == NOTHING_TO_DO
    assert compare.main([*comparison, "run-2", "--report", str(tmp_path)]) == 0
    assert "Difference between bert and tfidf" in (tmp_path / "report.html").read_text()


def test_folds_of_the_baseline_are_evaluated(tweets_table, capsys) -> None:
    fold = ["fold", "--name", "n", "--fold", "0", "--folds", "3", "--experiment", "baseline"]
    fold += ["--preset", "tfidf", "--tweets", tweets_table, "--settings", '{"hash_bits": 12}']
    assert cross_validate.main(fold) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["fold/accuracy"] > 0.8
