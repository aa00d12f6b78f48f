"""An empty MLflow database. To create one takes seconds."""

import pytest


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()
