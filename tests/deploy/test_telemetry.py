"""No program of the platform reports to its makers, in any deployment."""

import json
import subprocess
import sys

from deploy.embedded.settings import CONFIGURATION, DEFAULT_PORTS, Settings, common_environment

SWITCHES = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "SCARF_ANALYTICS": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# These run no Python, and none of their programs reports anything. A Spark worker runs the jobs' Python.
SILENT = {"postgres", "redis", "namenode", "datanode", "spark-master", "spark-history"}
ASK_THE_LIBRARIES = """
import json
from huggingface_hub import constants
from mlflow.environment_variables import MLFLOW_MODEL_CATALOG_URI
from mlflow.telemetry import get_telemetry_client
from mlflow.telemetry.utils import fetch_ui_telemetry_config, is_telemetry_disabled
from transformers.utils.hub import http_user_agent
print(json.dumps({
    "hub": constants.HF_HUB_DISABLE_TELEMETRY,
    "transformers": http_user_agent().endswith("telemetry/off"),
    "mlflow": is_telemetry_disabled(),
    "mlflow client": get_telemetry_client() is None,
    "mlflow pages": fetch_ui_telemetry_config()["disable_ui_telemetry"],
    "mlflow catalog": MLFLOW_MODEL_CATALOG_URI.get() == "",
}))
"""


def test_these_are_the_switches():
    lines = [
        line
        for line in (CONFIGURATION / "telemetry.env").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert dict(line.split("=", 1) for line in lines) == SWITCHES


def test_libraries_obey_them():
    # With nothing else in the environment: a CI server's variables turn MLflow's off, too.
    shown = subprocess.run(
        [sys.executable, "-c", ASK_THE_LIBRARIES], env=SWITCHES, capture_output=True, text=True, check=True
    )
    assert set(json.loads(shown.stdout.splitlines()[-1]).values()) == {True}, shown.stdout


def test_every_process_of_the_embedded_platform_has_them(tmp_path, monkeypatch):
    settings = Settings(tmp_path, DEFAULT_PORTS)
    monkeypatch.setitem(settings.__dict__, "java_home", tmp_path)
    # Whatever the machine says.
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    assert SWITCHES.items() <= settings.environment().items()
    assert SWITCHES.items() <= common_environment().items()


def test_every_service_of_the_stack_has_them(stack):
    assert stack.keys() > SILENT
    for name in stack.keys() - SILENT:
        assert SWITCHES.items() <= stack[name].items(), name
