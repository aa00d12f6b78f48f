"""Folders, ports and credentials of an embedded platform."""

import json
import os
import pwd
import socket

import pytest

from deploy.common.errors import CommandError
from deploy.embedded import ports
from deploy.embedded import settings as module
from deploy.embedded.settings import DEFAULT_PORTS, Settings
from monitoring.health import Watched


@pytest.fixture
def home(tmp_path_factory, monkeypatch):
    """A home without the limit for the path of a Unix socket."""
    monkeypatch.setattr(module, "MAX_SOCKET_PATH", 500)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VAXPULSE_HOME", str(folder))
    return folder


def test_ports_have_defaults(home):
    assert Settings.load().ports == DEFAULT_PORTS


def test_port_is_saved_for_the_next_start(home, monkeypatch):
    monkeypatch.setenv("VAXPULSE_AIRFLOW_PORT", "8081")
    Settings.load().save()
    monkeypatch.delenv("VAXPULSE_AIRFLOW_PORT")
    assert Settings.load().url("airflow") == "http://127.0.0.1:8081"


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_invalid_port_is_refused(home, monkeypatch, value):
    monkeypatch.setenv("VAXPULSE_MLFLOW_PORT", value)
    with pytest.raises(CommandError, match=f"VAXPULSE_MLFLOW_PORT={value} is not a port"):
        Settings.load()


def test_home_with_a_path_too_long_for_a_socket_is_refused(monkeypatch):
    monkeypatch.setenv("VAXPULSE_HOME", "/" + "deep/" * 30)
    with pytest.raises(CommandError, match="set VAXPULSE_HOME to a shorter path"):
        Settings.load()


def test_limit_of_a_sockets_path_counts_bytes(monkeypatch):
    monkeypatch.setenv("VAXPULSE_HOME", "/" + "дом/" * 15)
    with pytest.raises(CommandError, match="set VAXPULSE_HOME to a shorter path"):
        Settings.load()


def test_home_has_no_symbolic_links_because_the_folders_of_processes_have_none(home, monkeypatch):
    link = home.with_name(f"{home.name} link")
    link.symlink_to(home)
    monkeypatch.setenv("VAXPULSE_HOME", str(link))
    assert Settings.load().home == home.resolve()


def test_folder_with_a_blank_is_a_valid_uri_for_spark(home, monkeypatch):
    monkeypatch.setenv("VAXPULSE_HOME", str(home / "my home"))
    events = Settings.load().environment()["VAXPULSE_SPARK_EVENTS"]
    assert events == f"file://{home.resolve()}/my%20home/spark-events"
    read = Settings.load().driver_settings()["spark.history.fs.logDirectory"]
    assert read == f"file:{home.resolve()}/my home/spark-events"


def test_user_of_hdfs_is_that_of_the_process_whatever_the_environment_says(home, monkeypatch):
    for name in ("LOGNAME", "USER", "HADOOP_USER_NAME"):
        monkeypatch.setenv(name, "ada")
    environment = Settings.load().environment()
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert environment["HADOOP_USER_NAME"] == user
    assert json.loads(environment["AIRFLOW_CONN_WEBHDFS_DEFAULT"])["login"] == user


def test_secrets_are_generated_once_in_a_private_file(home):
    first = Settings.load().secrets
    assert Settings.load().secrets == first
    assert (home / "run" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert min(map(len, first.values())) >= 32


def test_watching_dag_has_a_login_that_may_only_read(home):
    settings = Settings.load()
    settings.write_configuration()
    environment = settings.environment()
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin,watch:viewer"
    login = json.loads(environment["AIRFLOW_CONN_VAXPULSE_API"])
    passwords = json.loads((home / "run" / "airflow-passwords.json").read_text())
    assert login["password"] == passwords[login["login"]] != passwords["admin"]
    assert Watched.from_json(environment["VAXPULSE_WATCHED"]) == settings.watched


def test_two_platforms_share_no_secret(home, tmp_path):
    first, second = Settings.load().secrets, Settings(tmp_path, DEFAULT_PORTS).secrets
    assert set(first.values()).isdisjoint(second.values())


def test_credentials_have_the_documented_format(home):
    settings = Settings.load()
    settings.save()
    credentials = json.loads((home / "credentials.json").read_text())
    assert credentials["airflow"].keys() == {"url", "user", "password"}
    assert credentials["mlflow"]["url"] == "http://127.0.0.1:5000"
    assert credentials["namenode"] == {"url": "http://127.0.0.1:9870", "rpc": "hdfs://127.0.0.1:8020"}
    assert (home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_password_with_special_characters_is_quoted_in_the_database_uri(home):
    settings = Settings.load()
    settings.secrets["postgres_password"] = "a/b:c@d"
    assert settings.database_uri("airflow").endswith("a%2Fb%3Ac%40d@127.0.0.1:5433/airflow")


def test_no_file_that_others_can_read_contains_a_secret(home):
    settings = Settings.load()
    settings.write_configuration()
    for path in home.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            assert not any(secret.encode() in path.read_bytes() for secret in settings.secrets.values())


def test_port_in_use_is_not_free(home, socket_enabled):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert not ports.is_free(busy.getsockname()[1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # no exception is set
        ({}, {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}),
        # the user's exceptions are copied to the other variable
        (
            {"NO_PROXY": "intra.net"},
            {"NO_PROXY": "intra.net,127.0.0.1,localhost", "no_proxy": "intra.net,127.0.0.1,localhost"},
        ),
        (
            {"no_proxy": "a, b"},
            {"NO_PROXY": "a,b,127.0.0.1,localhost", "no_proxy": "a,b,127.0.0.1,localhost"},
        ),
        # two different values stay different
        (
            {"NO_PROXY": "a", "no_proxy": "b"},
            {"NO_PROXY": "a,127.0.0.1,localhost", "no_proxy": "b,127.0.0.1,localhost"},
        ),
        # no duplicates
        (
            {"no_proxy": "localhost,a,127.0.0.1"},
            {"NO_PROXY": "localhost,a,127.0.0.1", "no_proxy": "localhost,a,127.0.0.1"},
        ),
        # `*` includes all hosts; with other entries it would be a host name
        ({"NO_PROXY": "*", "no_proxy": "*"}, {"NO_PROXY": "*", "no_proxy": "*"}),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*", "no_proxy": "*"}),
    ],
)
def test_loopback_is_added_to_the_exceptions_of_proxies(given, expected):
    module.bypass_proxy_for_loopback(given)
    assert given == expected
