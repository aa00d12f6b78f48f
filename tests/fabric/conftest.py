"""Plans and golden files."""

import os
from pathlib import Path

import pytest

from deploy.fabric.planning import make_plan
from deploy.fabric.specification import load

SPECIFICATIONS = Path(__file__).parent / "specifications"
GOLDEN = Path(__file__).parent / "golden"


def load_plan(workers):
    return make_plan(load(SPECIFICATIONS / f"{workers}.yaml"))


def compare_with_golden(name, text):
    """Compare a text with a golden file. `REBUILD_GOLDEN=1 make test-fabric` writes the files."""
    file = GOLDEN / name
    if os.environ.get("REBUILD_GOLDEN"):
        file.write_text(text)
        pytest.skip(f"REBUILD_GOLDEN is set: {name} was written")
    assert text == file.read_text()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder for the state of slices."""
    monkeypatch.setenv("VAXPULSE_HOME", str(tmp_path / "var"))
    for name in ("AIRFLOW_PASSWORD", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "var"
