"""No program sends telemetry, in any deployment."""

import json
import subprocess
import sys

from deploy.common.checkout import CONFIGURATION
from deploy.embedded.settings import DEFAULT_PORTS, Settings, common_environment

SWITCHES = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "SCARF_ANALYTICS": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# These services run no Python and send no telemetry. A Spark worker runs the jobs' Python.
WITHOUT_TELEMETRY = {"postgres", "redis", "namenode", "datanode", "spark-master", "spark-history"}
READ_LIBRARIES = """
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


def test_telemetry_env_has_all_switches():
    lines = [
        line
        for line in (CONFIGURATION / "telemetry.env").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert dict(line.split("=", 1) for line in lines) == SWITCHES


def test_switches_disable_telemetry_of_the_libraries():
    # No other variables: those of a CI server also disable MLflow's telemetry.
    shown = subprocess.run(
        [sys.executable, "-c", READ_LIBRARIES], env=SWITCHES, capture_output=True, text=True, check=True
    )
    assert set(json.loads(shown.stdout.splitlines()[-1]).values()) == {True}, shown.stdout


def test_every_process_of_the_embedded_platform_has_the_switches(tmp_path, monkeypatch):
    settings = Settings(tmp_path, DEFAULT_PORTS)
    monkeypatch.setitem(settings.__dict__, "java_home", tmp_path)
    # The platform overrides the machine's environment.
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    assert SWITCHES.items() <= settings.environment().items()
    assert SWITCHES.items() <= common_environment().items()


def test_every_service_of_the_stack_has_the_switches(stack):
    assert stack.keys() > WITHOUT_TELEMETRY
    for name in stack.keys() - WITHOUT_TELEMETRY:
        assert SWITCHES.items() <= stack[name].items(), name
