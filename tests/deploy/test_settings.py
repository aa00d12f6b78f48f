"""Folders, ports and credentials of an embedded platform."""

import json
import socket

import pytest

from deploy.embedded import settings as module
from deploy.embedded.settings import DEFAULT_PORTS, Settings, SettingsError


@pytest.fixture
def home(tmp_path_factory, monkeypatch):
    """A home with a path short enough for a Unix socket."""
    monkeypatch.setattr(module, "LONGEST_SOCKET_PATH", 500)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VAXPULSE_HOME", str(folder))
    return folder


def test_ports_have_defaults(home):
    assert Settings.load().ports == DEFAULT_PORTS


def test_chosen_port_is_kept_for_the_next_start(home, monkeypatch):
    monkeypatch.setenv("VAXPULSE_AIRFLOW_PORT", "8081")
    Settings.load().save()
    monkeypatch.delenv("VAXPULSE_AIRFLOW_PORT")
    assert Settings.load().url("airflow") == "http://127.0.0.1:8081"


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_what_is_no_port_is_refused(home, monkeypatch, value):
    monkeypatch.setenv("VAXPULSE_MLFLOW_PORT", value)
    with pytest.raises(SettingsError, match=f"VAXPULSE_MLFLOW_PORT={value} is no port"):
        Settings.load()


def test_home_too_deep_for_a_socket_is_refused(monkeypatch):
    monkeypatch.setenv("VAXPULSE_HOME", "/" + "deep/" * 30)
    with pytest.raises(SettingsError, match="set VAXPULSE_HOME to a shorter one"):
        Settings.load()


def test_secrets_are_made_once_and_are_private(home):
    first = Settings.load().secrets
    assert Settings.load().secrets == first
    assert (home / "run" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert min(map(len, first.values())) >= 32


def test_two_platforms_share_no_secret(home, tmp_path):
    ours, theirs = Settings.load().secrets, Settings(tmp_path, DEFAULT_PORTS).secrets
    assert set(ours.values()).isdisjoint(theirs.values())


def test_credentials_are_what_scripts_rely_on(home):
    settings = Settings.load()
    settings.save()
    credentials = json.loads((home / "credentials.json").read_text())
    assert credentials["airflow"].keys() == {"url", "user", "password"}
    assert credentials["mlflow"]["url"] == "http://127.0.0.1:5000"
    assert credentials["namenode"] == {"url": "http://127.0.0.1:9870", "rpc": "hdfs://127.0.0.1:8020"}
    assert (home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_password_with_signs_is_quoted_in_the_database_uri(home):
    settings = Settings.load()
    settings.secrets["postgres_password"] = "a/b:c@d"
    assert settings.database_uri("airflow").endswith("a%2Fb%3Ac%40d@127.0.0.1:5433/airflow")


def test_no_secret_is_in_a_file_that_others_can_read(home):
    settings = Settings.load()
    settings.write_configuration()
    for path in home.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            assert not any(secret in path.read_text() for secret in settings.secrets.values()), path


def test_busy_port_is_seen(home, socket_enabled):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert not module.is_free(busy.getsockname()[1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # nothing is excepted yet
        ({}, {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}),
        # the user's own stay, also for programs that read the other name
        (
            {"NO_PROXY": "intra.net"},
            {"NO_PROXY": "intra.net,127.0.0.1,localhost", "no_proxy": "intra.net,127.0.0.1,localhost"},
        ),
        (
            {"no_proxy": "a, b"},
            {"NO_PROXY": "a,b,127.0.0.1,localhost", "no_proxy": "a,b,127.0.0.1,localhost"},
        ),
        # who says different things to different programs means it
        (
            {"NO_PROXY": "a", "no_proxy": "b"},
            {"NO_PROXY": "a,127.0.0.1,localhost", "no_proxy": "b,127.0.0.1,localhost"},
        ),
        # once is enough
        (
            {"no_proxy": "localhost,a,127.0.0.1"},
            {"NO_PROXY": "localhost,a,127.0.0.1", "no_proxy": "localhost,a,127.0.0.1"},
        ),
        # everything is excepted; with more behind it a `*` would be a host's name
        ({"NO_PROXY": "*", "no_proxy": "*"}, {"NO_PROXY": "*", "no_proxy": "*"}),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*", "no_proxy": "*"}),
    ],
)
def test_loopback_joins_what_is_excepted_from_proxies(given, expected):
    module.bypass_proxy_for_loopback(given)
    assert given == expected
