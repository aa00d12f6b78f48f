"""Two trainings and their comparisons in an MLflow database."""

import json
import os
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from contracts.exit_status import BAD_INPUT
from contracts.mlflow_names import CHAMPION_ALIAS, REGISTERED_MODEL
from training import compare, promote, train


@pytest.fixture(scope="module")
def trained(tweets_table, tiny_bert, mlflow_store, tmp_path_factory) -> str:
    """Run two DAG runs, the second with a longer training, and return the table."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_store)
        environment.setenv("VAXPULSE_STATE", str(tmp_path_factory.mktemp("state")))
        environment.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
        for run_id, epochs in (("run-1", "1"), ("run-2", "12")):
            environment.setenv("AIRFLOW_CTX_DAG_RUN_ID", run_id)
            options = [
                "--preset",
                "bert",
                "--checkpoint",
                str(tiny_bert),
                "--tweets",
                tweets_table,
                "--experiment",
                "compared",
            ]
            assert (
                train.main(
                    [
                        *options,
                        "--epochs",
                        epochs,
                        "--learning-rate",
                        "0.003",
                        "--batch-size",
                        "16",
                        "--patience",
                        "24",
                    ]
                )
                == 0
            )
    return tweets_table


def compared(capsys, tweets: str, run_id: str, *options: str) -> dict:
    assert (
        compare.main(["--airflow-run-id", run_id, "--tweets", tweets, "--experiment", "compared", *options])
        == 0
    )
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_candidates_are_registered_compared_reported_and_promoted(
    trained, mlflow_store, monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    client = mlflow.MlflowClient(mlflow_store)

    first = compared(capsys, trained, "run-1", "--report", str(tmp_path))
    assert (first["version"], first["promote"], first["instead_of"]) == ("1", True, None)
    assert b"bert, version 1: to be promoted" in (tmp_path / "report.html").read_bytes()
    assert promote.main(["--version", "1", "--experiment", "compared"]) == 0
    assert str(client.get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS).version) == "1"

    second = compared(capsys, trained, "run-2")
    assert (second["version"], second["promote"], second["instead_of"]) == ("2", True, "1")
    assert compared(capsys, trained, "run-2") == second  # a retry registers nothing again
    tags = client.get_model_version(REGISTERED_MODEL, "2").tags
    assert (tags["table_version"], tags["dumps"], tags["preset"]) == ("0", "dump0 dump1", "bert")
    assert tags["git_commit"]
    assert "the champion's" in tags["reason"]
    run_id = client.get_model_version(REGISTERED_MODEL, "2").run_id
    assert {Path(item.path).name for item in client.list_artifacts(run_id, "comparison")} == {
        "comparison.html",
        "comparison.png",
        "comparison.csv",
    }

    # The approval is too late: another version has become the champion.
    client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, "2")
    assert promote.main(["--version", "1", "--instead-of", "3", "--experiment", "compared"]) == BAD_INPUT
    assert "version 2 is the champion now" in capsys.readouterr().err

    # The worse model is not promoted, and its version has the reason.
    third = compared(capsys, trained, "run-1")
    assert (third["version"], third["promote"]) == ("1", False)
    assert client.get_model_version(REGISTERED_MODEL, "1").tags["reason"] == third["reason"]


def test_the_champion_predicts_tweets_that_are_newer_than_its_training(
    trained, mlflow_store, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    registry = compare.Registry("compared")
    champion = registry.champion()
    recorded = registry.predictions(champion.run_id)
    monkeypatch.setattr(registry, "predictions", lambda _: recorded.head(5))
    predicted = compare.champion_predictions(registry, champion, recorded, trained, version=0)
    pd.testing.assert_frame_equal(predicted, recorded, atol=1e-9)


def test_a_dag_run_without_a_model_is_reported_in_one_line(
    trained, mlflow_store, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    arguments = ["--airflow-run-id", "absent", "--tweets", trained, "--experiment", "compared"]
    assert compare.main(arguments) == BAD_INPUT
    assert capsys.readouterr().err == "error: MLflow has no finished run of the DAG run absent\n"
