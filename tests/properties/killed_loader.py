"""Kill load_dumps with SIGKILL, run it again, and compare the tables with those of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.properties.loading_model import TABLES, Store, moment

REPOSITORY = Path(__file__).parents[2]
START_LIMIT_SECONDS = 60


def dump_contents(seed: int) -> tuple[bytes, bytes]:
    """Return two dumps with invalid records. The second repeats, corrects and extends the first."""
    draw = random.Random(seed)
    header = "tweet_id,safe_text,label,agreement\n"
    first = "".join(f'K{n},"text, {n}\nof the first",{n % 3 - 1}.0,1.0\n' for n in range(4_000))
    second = "".join(
        f'K{n},"text, {n}\nof the {draw.choice(["first", "second"])}",{n % 3 - 1}.0,1.0\n'
        + ("no id at all,x,,\n" if n % 50 == 0 else "")
        for n in range(2_000, 7_000)
    )
    return f"{header}{first}no id at all,x,,\n".encode(), f"{header}{second}".encode()


def deliver_both(folder: Path, seed: int) -> Store:
    store = Store(folder)
    for minute, content in enumerate(dump_contents(seed)):
        store.deliver(content, moment(minute), f"{minute}.csv")
    return store


def command(store: Store) -> list[str]:
    folders = [f"--{name}={store.folder / name}" for name in ("delivered", "raw")]
    places = [f"--{name.replace('_', '-')}={getattr(store.tables, name)}" for name in TABLES]
    gate = [
        "--max-quarantined-share=0.5",
        "--max-label-distance=1",
        "--min-median-length=0",
        "--max-median-length=1000",
        "--max-changed-texts-share=1",
        "--max-tries=3",
    ]
    return [sys.executable, "-m", "loading.load_dumps", *folders, *places, *gate, "--run-id=run"]


def log_entries(store: Store) -> int:
    return sum(len(list((store.folder / name / "_delta_log").glob("*.json"))) for name in TABLES)


def load_and_kill(store: Store, commits: int, delay_seconds: float) -> bool:
    """Kill a loader `delay_seconds` after its `commits`-th commit. Return False if it has ended before."""
    process = subprocess.Popen(
        command(store), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_LIMIT_SECONDS
    try:
        while process.poll() is None and log_entries(store) < commits:
            assert time.monotonic() < deadline, "load_dumps has not made its commits in time"
            time.sleep(0.0005)
        try:
            process.wait(delay_seconds)
        except subprocess.TimeoutExpired:
            return True
        return False
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()


def check_that_a_retry_completes(folder: Path, seed: int, moments: list[tuple[int, float]]) -> int:
    """Kill a loader at each of `moments` (commits, seconds after the last), then retry.

    Return how many loaders were killed before they ended.
    """
    died = 0
    undisturbed = deliver_both(folder / "undisturbed", seed)
    subprocess.run(command(undisturbed), cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    for i, (commits, delay_seconds) in enumerate(moments):
        disturbed = deliver_both(folder / f"disturbed{i}", seed)
        died += load_and_kill(disturbed, commits, delay_seconds)
        # The status is 0, whichever try of the run has loaded the dumps.
        assert (
            subprocess.run(
                command(disturbed), cwd=REPOSITORY, check=False, stdout=subprocess.DEVNULL
            ).returncode
            == os.EX_OK
        )
        for name in ("log", "quarantine", "dumps"):
            assert getattr(disturbed, name)() == getattr(undisturbed, name)(), (commits, delay_seconds, name)
        assert disturbed.files().deliveries() == []
    return died
