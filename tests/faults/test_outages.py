"""Outages: MLflow is away, HDFS is full, the disk is full, two trainings want one slot.

All tests use one platform, on a small file system of its own, and the result of each is what it would have
been without the outage. Mounting needs root: without it these tests are skipped.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import hdfs_paths
from deploy.common import summary
from deploy.common.checkout import CONFIGURATION, JARS
from deploy.common.steps import wait_until
from deploy.embedded import supervision
from deploy.embedded.run import stage_dump
from deploy.embedded.services import java_daemon
from tests.integration.conftest import Platform, new_platform

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]

DISK_MIB = 4096
MLFLOW_SECONDS = 120
RUN_SECONDS = 900
FULL_SECONDS = 60
# Without labels, so that no model is trained.
DUMP = "tweet_id,safe_text\n{0}1,a {0} for everyone\n{0}2,no {0} for me\n"
ENDED = ("success", "failed")


@pytest.fixture(scope="module")
def small_platform() -> Iterator[Platform]:
    """A platform with a champion. Its home is on a file system of DISK_MIB."""
    with tempfile.TemporaryDirectory(prefix="vaxpulse-disk-") as disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", disk], check=True)
        try:
            with new_platform(Path(disk)) as platform:
                platform.make("run", f"DUMP={platform.dump}")
                yield platform
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


def wait_for_end(platform: Platform, dag_id: str, run_id: str) -> str:
    """Return the state of a run when it has ended."""
    api = platform.api()
    state = wait_until(
        lambda: (found := api.run(dag_id, run_id)["state"]) in ENDED and found,
        RUN_SECONDS,
        f"the run {run_id} does not end",
        pause_seconds=2,
    )
    return str(state)


def states_of(platform: Platform, dag_id: str, run_id: str, task_id: str) -> list[str | None]:
    return [task["state"] for task in platform.api().tasks(dag_id, run_id) if task["task_id"] == task_id]


def train_again(platform: Platform, learning_rate: float) -> str:
    """Start a short training. Each one needs another learning rate: equal trainings are skipped."""
    settings = {"epochs": 1, "learning_rate": learning_rate}
    params: dict[str, Any] = {"presets": ["minilm"], "settings": settings}
    return platform.api().trigger("train_classifiers", params)


def is_loaded(platform: Platform, prefix: str) -> bool:
    sql = f"SELECT count(*) AS tweets FROM t WHERE tweet_id LIKE '{prefix}%'"
    return platform.query("tweets_clean", sql) == [{"tweets": 2}]


def test_training_is_compared_although_mlflow_is_away_at_its_end(small_platform: Platform) -> None:
    before = len(summary.models(small_platform.settings))
    run_id = train_again(small_platform, 7e-5)
    wait_until(
        lambda: "running" in states_of(small_platform, "train_classifiers", run_id, "train"),
        RUN_SECONDS,
        "the training has not begun",
    )
    supervision.stop_services(small_platform.settings, ["mlflow"])
    time.sleep(MLFLOW_SECONDS)  # the duration of the outage
    supervision.start(small_platform.settings, lambda _: None)
    assert wait_for_end(small_platform, "train_classifiers", run_id) == "success"
    assert states_of(small_platform, "train_classifiers", run_id, "compare") == ["success"]
    assert len(summary.models(small_platform.settings)) == before + 1


def test_two_trainings_at_one_slot_run_one_after_the_other(small_platform: Platform) -> None:
    before = len(summary.models(small_platform.settings))
    runs = [train_again(small_platform, rate) for rate in (8e-5, 9e-5)]
    assert [wait_for_end(small_platform, "train_classifiers", each) for each in runs] == ["success"] * 2
    first, second = (
        next(
            task
            for task in small_platform.api().tasks("train_classifiers", each)
            if task["task_id"] == "train"
        )
        for each in runs
    )
    assert first["end_date"] <= second["start_date"] or second["end_date"] <= first["start_date"]
    assert len(summary.models(small_platform.settings)) == before + 2


def set_space_quota(platform: Platform, *options: str) -> None:
    """Run `hdfs dfsadmin`. A quota of the platform's folder refuses new blocks as a full HDFS does."""
    settings = platform.settings
    java_class = "org.apache.hadoop.hdfs.tools.DFSAdmin"
    class_path = f"{CONFIGURATION / 'hadoop'}:{JARS / 'hdfs' / '*'}"
    command = java_daemon(settings, class_path, java_class, *options, hdfs_paths.ROOT)
    subprocess.run(command, env=settings.environment(), check=True)


def test_dump_is_loaded_when_hdfs_has_space_again(small_platform: Platform) -> None:
    api = small_platform.api()
    path = small_platform.settings.home / "quota.csv"
    path.write_text(DUMP.format("quota"))
    set_space_quota(small_platform, "-setSpaceQuota", "1m")
    try:
        run_id = api.trigger("ingest_tweets", {"dump": stage_dump(small_platform.settings, str(path))})
        wait_until(
            lambda: "up_for_retry" in [task["state"] for task in api.tasks("ingest_tweets", run_id)],
            RUN_SECONDS,
            "no task failed",
        )
    finally:
        set_space_quota(small_platform, "-clrSpaceQuota")
    assert wait_for_end(small_platform, "ingest_tweets", run_id) == "success"
    wait_until(lambda: is_loaded(small_platform, "quota"), RUN_SECONDS, "the dump was not loaded")


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the file system of a folder."""
    filler = folder / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        assert shutil.disk_usage(folder).free < 1 << 20
        yield
    finally:
        filler.unlink()


def test_platform_works_again_when_its_disk_has_space(small_platform: Platform) -> None:
    settings = small_platform.settings
    before = small_platform.rows()
    path = settings.home.parent / "full.csv"
    path.write_text(DUMP.format("full"))
    with full_disk(settings.home.parent):
        refused = small_platform.make("run", f"DUMP={path}", check=False)
        assert refused.returncode != 0
        assert "free disk space" in refused.stderr
        time.sleep(FULL_SECONDS)  # the duration of the outage: the services write their logs and databases
    small_platform.make("run", f"DUMP={path}")
    wait_until(lambda: is_loaded(small_platform, "full"), RUN_SECONDS, "the dump was not loaded")
    rows = small_platform.rows()
    assert {name: rows[name] - before[name] for name in rows if rows[name] != before[name]} == {
        "tweets_raw": 2,
        "tweets_clean": 2,
        "dumps": 1,
    }
