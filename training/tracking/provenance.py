"""Origin of a run: git commit, library versions, process, and the DAG run that started it."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "deltalake",
    "mlflow",
    "onnx",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "scipy",
    "safetensors",
)


def git_commit() -> str:
    """Return VAXPULSE_COMMIT (set in images) or the commit of the checkout, with `-dirty` if files differ."""
    if commit := os.environ.get("VAXPULSE_COMMIT"):
        return commit
    # Without tags `describe` returns the commit.
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        return subprocess.check_output(describe, cwd=folder, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of every library that can change a result."""
    return {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}


def airflow_tags() -> dict[str, str]:
    """Return the DAG and DAG run that started this process, from the variables of Airflow's BashOperator."""
    variables = {"airflow_dag_id": "AIRFLOW_CTX_DAG_ID", "airflow_run_id": "AIRFLOW_CTX_DAG_RUN_ID"}
    return {tag: os.environ[variable] for tag, variable in variables.items() if os.environ.get(variable)}


def process_tags() -> dict[str, str]:
    """Return tags that identify this process, for `is_gone`."""
    return {"host": platform.node(), "process": f"{os.getpid()} {_start_time(os.getpid())}"}


def is_gone(tags: dict[str, str], own_airflow_tags: dict[str, str]) -> bool:
    """Return whether the process that created a run with these tags has certainly ended.

    This is the case if the process was on this machine and does not exist, or if it was an earlier attempt of
    this Airflow task: only one attempt runs at a time.
    """
    if own_airflow_tags and own_airflow_tags.items() <= tags.items():
        return True
    if tags.get("host") != platform.node() or "process" not in tags:
        return False
    pid, _, started = tags["process"].partition(" ")
    return _start_time(int(pid)) != started


def _start_time(pid: int) -> str:
    # A process number may be reused, so the start time is compared too. It is field 22. Field 2, the command,
    # is in parentheses and may contain spaces.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
