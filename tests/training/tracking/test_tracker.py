import os

import pytest
import requests

from training.command import TransientError, without_credentials
from training.tracking.tracker import (
    MlflowTracker,
    move_credentials_to_environment,
    open_tracker,
)


def test_without_a_tracking_server_nothing_is_recorded() -> None:
    tracker = open_tracker("vaxpulse")
    assert not isinstance(tracker, MlflowTracker)
    with tracker.run("minilm", {}):
        tracker.log_params({"seed": 1})
        tracker.log_metrics({"train_loss": 1.0}, 1)
        tracker.log_files({"empty": b""})
    assert tracker.finished_runs({}) == []


@pytest.mark.parametrize(
    ("uri", "bare", "user", "password"),
    [
        ("http://ann:s3cret@mlflow:5000", "http://mlflow:5000", "ann", "s3cret"),
        # reserved characters in a password are percent-encoded
        ("https://ann:p%40ss%2Fw@host/base", "https://host/base", "ann", "p@ss/w"),
        ("http://mlflow:5000", "http://mlflow:5000", None, None),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db", None, None),
    ],
)
def test_credentials_are_moved_from_the_uri_to_the_variables_of_mlflow(
    uri, bare, user, password, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert move_credentials_to_environment(uri) == bare == os.environ["MLFLOW_TRACKING_URI"]
    assert (os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")) == (
        user,
        password,
    )


def test_credentials_are_removed_from_messages() -> None:
    message = (
        "cannot reach postgresql://ann:s3cret@db:5432/mlflow nor http://mlflow:5000, mail ann@example.org"
    )
    assert (
        without_credentials(message)
        == "cannot reach postgresql://***@db:5432/mlflow nor http://mlflow:5000, mail ann@example.org"
    )


def test_a_server_that_does_not_answer_is_a_transient_error_without_its_password(monkeypatch) -> None:
    def refuse(url, timeout) -> None:
        assert timeout <= 10
        raise requests.ConnectionError(f"refused: {url}")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:s3cret@mlflow:5000")
    with pytest.raises(TransientError, match="no MLflow server answers at http://mlflow:5000") as error:
        open_tracker("vaxpulse")
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_deleted_experiment_is_reported_in_one_line(mlflow_store, monkeypatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    mlflow.set_tracking_uri(mlflow_store)
    mlflow.delete_experiment(mlflow.create_experiment("gone"))
    with pytest.raises(TransientError, match="rejects the experiment gone") as error:
        open_tracker("gone")
    assert "\n" not in str(error.value)


def test_a_run_is_nested_in_the_open_run_of_another_process(mlflow_store, monkeypatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    tracker = open_tracker("compared")
    with tracker.run("search", {}) as search:
        pass
    with tracker.run("trial", {}, parent=search) as trial:
        pass
    assert mlflow.get_run(trial).data.tags["mlflow.parentRunId"] == search
