"""The pages with Delta tables in a temporary folder, and a user with chosen permissions."""

import airflow.api_fastapi.core_api.security as security
import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from tests.plugins.pages.platform import Airflow, AuthManager, FolderListingHdfs, Mlflow, Platform, User
from vaxpulse_airflow.pages.app import build_app
from vaxpulse_airflow.pages.data.report_files import Reports
from vaxpulse_airflow.pages.data.uploads import Uploads


@pytest.fixture
def platform(tmp_path):
    return Platform(tmp_path)


@pytest.fixture
def hdfs():
    return FolderListingHdfs()


@pytest.fixture
def airflow():
    return Airflow()


@pytest.fixture
def mlflow():
    return Mlflow()


@pytest.fixture
def permissions(monkeypatch):
    """DAGs that the user may read, run and answer."""
    manager = AuthManager()
    monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda dag_id: None)
    return manager


@pytest.fixture
def app(platform, hdfs, airflow, mlflow, permissions, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__SECRET_KEY", "secret of the tests")
    app = build_app(platform.tables, Reports(lambda: hdfs))
    app.state.open_api = lambda request: airflow
    app.state.mlflow = mlflow
    app.state.connect_hdfs = lambda: hdfs
    app.state.uploads = Uploads(lambda: hdfs, run=lambda function, *arguments: function(*arguments))
    return app


@pytest.fixture
def browser(app):
    app.dependency_overrides[get_user] = lambda: User("analyst")
    return TestClient(app, follow_redirects=False)
