"""Where a run comes from: git commit, library versions, and the DAG run that started it. All of it is recorded with the run."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "numpy",
    "deltalake",
    "mlflow",
    "onnx",
    "onnxruntime",
    "pandas",
)


def git_commit() -> str:
    """Commit of this checkout, with `-dirty` where files differ from it; VAXPULSE_COMMIT in an image without git."""
    if commit := os.environ.get("VAXPULSE_COMMIT"):
        return commit
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.check_output(
            [*git, "rev-parse", "HEAD"], text=True, stderr=subprocess.DEVNULL
        ).strip()
        changed = subprocess.check_output(
            [*git, "status", "--porcelain", "--untracked-files=no"], text=True, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed.strip() else commit


def library_versions() -> dict[str, str]:
    """Versions of Python and of every library that can change a result."""
    return {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}


def airflow_tags() -> dict[str, str]:
    """Which DAG run started this one, where Airflow did: its BashOperator sets these variables."""
    variables = {"airflow_dag_id": "AIRFLOW_CTX_DAG_ID", "airflow_run_id": "AIRFLOW_CTX_DAG_RUN_ID"}
    return {tag: os.environ[variable] for tag, variable in variables.items() if os.environ.get(variable)}


def process_tags() -> dict[str, str]:
    """Name the process in words that a later one on the same machine can check (`is_gone`)."""
    return {"host": platform.node(), "process": f"{os.getpid()} {_start_time(os.getpid())}"}


def is_gone(tags: dict[str, str], own_airflow_tags: dict[str, str]) -> bool:
    """Whether the process that made a run with these tags cannot be alive any more.

    It was on this machine and there is no such process; or it was an earlier try of this very Airflow task, of which there is one at a time.
    """
    if own_airflow_tags and own_airflow_tags.items() <= tags.items():
        return True
    if tags.get("host") != platform.node() or "process" not in tags:
        return False
    pid, _, started = tags["process"].partition(" ")
    return _start_time(int(pid)) != started


def _start_time(pid: int) -> str:
    # A number alone may have been given to another process since. The 22nd field; the second may hold blanks and ends with a parenthesis.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
