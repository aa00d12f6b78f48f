"""Two trainings and their comparisons in an MLflow database."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from contracts.exit_status import BAD_INPUT, NOTHING_TO_DO
from contracts.mlflow_names import CHALLENGER_ALIAS, CHAMPION_ALIAS, COMPARED_TAG, REGISTERED_MODEL
from training import compare, promote, promotion_gate, train
from training.tracking.registry import Registry


@pytest.fixture(scope="module")
def trained(tweets_table, tiny_bert, mlflow_store, tmp_path_factory) -> str:
    """Run three DAG runs, each with a longer training than the one before, and return the table."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_store)
        environment.setenv("VAXPULSE_STATE", str(tmp_path_factory.mktemp("state")))
        environment.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
        for run_id, epochs in (("run-0", "0.2"), ("run-1", "5"), ("run-2", "12")):
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


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    found = client.get_registered_model(REGISTERED_MODEL).aliases
    return {name: str(version) for name, version in found.items()}


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

    if client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):  # of another module
        client.delete_registered_model(REGISTERED_MODEL)

    # A model that is not better than the majority class does not become the first champion.
    untrained = compared(capsys, trained, "run-0")
    assert (untrained["promote"], untrained["instead_of"]) == (False, None)
    assert "that of the majority class is" in untrained["reason"]
    assert "asset_event" not in untrained
    assert compared(capsys, trained, "run-0", "--champion", "replace")["promote"]
    client.delete_registered_model(REGISTERED_MODEL)

    first = compared(capsys, trained, "run-1", "--report", str(tmp_path))
    assert (first["version"], first["promote"], first["instead_of"]) == ("1", True, None)
    assert first["asset_event"] == {"version": 1}
    assert b"bert, version 1: to be promoted" in (tmp_path / "report.html").read_bytes()
    assert promote.main(["--version", "1", "--experiment", "compared"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"asset_event": {"version": 1}}
    # The model of run-0 has the same rows and the same preset, but is older.
    assert aliases(client) == {CHAMPION_ALIAS: "1", "bert": "1"}

    second = compared(capsys, trained, "run-2")
    assert (second["version"], second["promote"], second["instead_of"]) == ("2", True, "1")
    assert compared(capsys, trained, "run-2") == second  # a retry registers nothing again
    assert aliases(client) == {CHAMPION_ALIAS: "1", "bert": "2"}
    card = client.get_model_version(REGISTERED_MODEL, "2").description
    assert f"**bert**: {second['reason']}" in card
    assert "| macro f1 | " in card
    assert "learning rate 0.003" in card
    tags = client.get_model_version(REGISTERED_MODEL, "2").tags
    assert (tags["table_version"], tags["preset"]) == ("0", "bert")
    assert tags["git_commit"]
    assert "that of the champion is" in tags["reason"]
    run_id = client.get_model_version(REGISTERED_MODEL, "2").run_id
    assert {Path(item.path).name for item in client.list_artifacts(run_id, "comparison")} == {
        "comparison.html",
        "comparison.png",
        "comparison.csv",
    }

    # MLflow's comparison has the learning curves and the study's own figures.
    folder = client.download_artifacts(run_id, "comparison", str(tmp_path))
    page = (Path(folder) / "comparison.html").read_text()
    assert "RoBERTa in the study" in page
    assert "champion (version 1)" in page
    assert "bert (version 2): step" in page

    # A scheduled run would repeat this recipe.
    registry = Registry("compared")
    config = registry.champion_config()
    assert (config["preset"], config["learning_rate"]) == ("bert", 0.003)
    assert registry.tuned_settings("bert") == {}
    registry.keep_tuned_settings("bert", {"epochs": 2})
    assert (registry.tuned_settings("bert"), registry.tuned_settings("minilm")) == ({"epochs": 2}, {})

    # The approval is too late: another version has become the champion.
    client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, "2")
    assert promote.main(["--version", "1", "--instead-of", "3", "--experiment", "compared"]) == BAD_INPUT
    assert "version 2 is the champion now" in capsys.readouterr().err

    # The worse model is not promoted, and its version has the reason.
    third = compared(capsys, trained, "run-1")
    assert (third["version"], third["promote"]) == ("1", False)
    assert aliases(client) == {CHAMPION_ALIAS: "2", "bert": "2", CHALLENGER_ALIAS: "1"}
    assert client.get_model_version(REGISTERED_MODEL, "1").tags["reason"] == third["reason"]


@pytest.fixture
def promoted(trained, mlflow_store, monkeypatch, capsys) -> mlflow.MlflowClient:
    """The registry with the model of run-1 as its first and only champion."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    client = mlflow.MlflowClient(mlflow_store)
    if client.search_registered_models(f"name = '{REGISTERED_MODEL}'"):
        client.delete_registered_model(REGISTERED_MODEL)
    version = compared(capsys, trained, "run-1")["version"]
    assert promote.main(["--version", version, "--experiment", "compared"]) == 0
    return client


def champion_of(client: mlflow.MlflowClient) -> Any:
    return client.get_model_version_by_alias(REGISTERED_MODEL, CHAMPION_ALIAS)


def lose(monkeypatch, *names: str) -> None:
    """Let the registry find no predictions or no export of the champion, as after a loss of its artifacts."""
    for name in names:
        found = getattr(Registry, name)
        lost = champion_of(mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"]))

        def find(self, key, *rest, found=found, lost=lost):
            gone = getattr(key, "run_id", key) == lost.run_id  # the key is a version or the id of a run
            return None if gone else found(self, key, *rest)

        monkeypatch.setattr(Registry, name, find)


def test_a_champion_without_recorded_predictions_is_evaluated_again(
    trained, promoted, monkeypatch, capsys
) -> None:
    with_predictions = compared(capsys, trained, "run-2")
    lose(monkeypatch, "predictions")
    assert compared(capsys, trained, "run-2") == with_predictions


def test_a_champion_without_files_is_an_error_until_a_user_replaces_it(
    trained, promoted, monkeypatch, capsys
) -> None:
    lose(monkeypatch, "predictions", "download_export")
    arguments = ["--airflow-run-id", "run-2", "--tweets", trained, "--experiment", "compared"]
    assert compare.main(arguments) == BAD_INPUT
    assert "Restore MLflow's artifacts and clear this task, or trigger" in capsys.readouterr().err
    result = compared(capsys, trained, "run-2", "--champion", "replace")
    assert (result["promote"], result["instead_of"]) == (True, str(champion_of(promoted).version))
    assert "a user replaced version" in result["reason"]


def test_missing_files_of_a_run_and_of_a_version_are_none(trained, promoted, tmp_path) -> None:
    registry, champion = Registry("compared"), champion_of(promoted)
    assert registry.predictions("0" * 32) is None
    assert registry.run("0" * 32) is None
    assert registry.download_export(champion, str(tmp_path)) is not None
    [model] = [
        m
        for m in promoted.search_logged_models([registry._experiment_id])
        if m.source_run_id == champion.run_id
    ]
    export = Path(unquote(urlsplit(model.artifact_location).path)) / "artifacts" / "onnx"
    export.rename(export.with_name("moved"))
    try:
        assert registry.download_export(champion, str(tmp_path)) is None
    finally:
        export.with_name("moved").rename(export)


def test_the_former_champion_is_compared_and_restored_if_the_champion_was_deleted(
    trained, promoted, capsys
) -> None:
    better = compared(capsys, trained, "run-2")["version"]
    assert promote.main(["--version", better, "--instead-of", "1", "--experiment", "compared"]) == 0
    promoted.delete_model_version(REGISTERED_MODEL, better)
    # The worse model of run-1 is the only former champion. The model of run-2 is compared with it.
    again = compared(capsys, trained, "run-2")
    assert (again["promote"], again["instead_of"]) == (True, None)
    assert "that of the champion is" in again["reason"]
    assert promote.main(["--version", again["version"], "--experiment", "compared"]) == 0
    # The alias is lost, and the candidate is not better than the former champion.
    promoted.delete_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS)
    restored = compared(capsys, trained, "run-1")
    assert (restored["version"], restored["promote"]) == (again["version"], True)
    assert restored["reason"].startswith(f"version {again['version']} is the champion again: ")
    assert promote.main(["--version", restored["version"], "--experiment", "compared"]) == 0
    assert str(champion_of(promoted).version) == again["version"]


def test_a_run_is_compared_only_after_its_report_is_written(trained, promoted, monkeypatch, capsys) -> None:
    registry = Registry("compared")
    run = registry.latest_runs("airflow_run_id", "run-2")["bert"]
    if COMPARED_TAG in run.data.tags:
        promoted.delete_tag(run.info.run_id, COMPARED_TAG)

    def unavailable(*_: object) -> None:
        raise MlflowException("the server does not answer")

    with monkeypatch.context() as outage:
        outage.setattr(Registry, "log_files", unavailable)
        with pytest.raises(MlflowException):
            compare.main(["--airflow-run-id", "run-2", "--tweets", trained, "--experiment", "compared"])
    assert COMPARED_TAG not in registry.latest_runs("airflow_run_id", "run-2")["bert"].data.tags
    version = compared(capsys, trained, "run-2")["version"]
    assert registry.latest_runs("airflow_run_id", "run-2")["bert"].data.tags[COMPARED_TAG] == version


def test_the_champion_predicts_tweets_that_are_newer_than_its_training(
    trained, promoted, monkeypatch
) -> None:
    registry, champion = Registry("compared"), champion_of(promoted)
    recorded = registry.predictions(champion.run_id)
    monkeypatch.setattr(registry, "predictions", lambda _: recorded.head(5))
    predicted = promotion_gate.opponent_predictions(registry, champion, recorded, trained, version=0)
    pd.testing.assert_frame_equal(predicted, recorded, atol=1e-9)


def test_a_dag_run_without_a_model_has_nothing_to_compare(trained, mlflow_store, monkeypatch, capsys) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    arguments = ["--airflow-run-id", "absent", "--tweets", trained, "--experiment", "compared"]
    assert compare.main(arguments) == NOTHING_TO_DO
    assert capsys.readouterr().err == "skipped: MLflow has no finished run of the DAG run absent\n"
