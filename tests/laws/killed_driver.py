"""Kill the driver of load_dump with SIGKILL at a chosen moment, load again, and compare with tables that nobody disturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

from tests.laws.table_model import SparkTables

REPOSITORY = Path(__file__).parents[2]
START_LIMIT_SECONDS = 240
# From the first commit of a load on: the moments that matter lie between the commits and inside them.
WATCHED = ("quarantine", "tweets-raw", "dumps")


def dump_contents(seed: int) -> tuple[bytes, bytes]:
    """Two dumps; the second repeats, corrects and adds to the first, and has records for the quarantine."""
    draw = random.Random(seed)
    header = "tweet_id,safe_text,label,agreement\n"
    first = "".join(f'K{n},"text, {n}\nof the first",{n % 3 - 1}.0,1.0\n' for n in range(400))
    second = "".join(
        f'K{n},"text, {n}\nof the {draw.choice(["first", "second"])}",{n % 3 - 1}.0,1.0\n' + ("no id at all,x,,\n" if n % 50 == 0 else "")
        for n in range(200, 700)
    )
    return (header + first).encode(), (header + second).encode()


def log_entries(tables: SparkTables) -> int:
    return sum(len(list((tables.folder / name / "_delta_log").glob("*.json"))) for name in WATCHED)


def load_and_kill(tables: SparkTables, dump: Path, commits: int, delay_seconds: float) -> bool:
    """Start load_dump in a process of its own and kill it `delay_seconds` after it has made `commits` commits; False where it was done before."""
    before = log_entries(tables)
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("delta-*.jar")))
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"--master local[2] --jars {jars} --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 pyspark-shell",
    }
    command = [sys.executable, "-m", "spark_jobs.load_dump", *tables.arguments(dump)]
    # A session of its own: the JVM and its Python workers die with the driver, as they would with its container.
    process = subprocess.Popen(
        command, env=environment, cwd=tables.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_LIMIT_SECONDS
    try:
        while process.poll() is None and log_entries(tables) < before + commits:
            assert time.monotonic() < deadline, "load_dump has not made its commits in time"
            time.sleep(0.002)
        try:
            process.wait(delay_seconds)
        except subprocess.TimeoutExpired:
            return True
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check_that_a_retry_completes(spark: SparkSession, folder: Path, seed: int, moments: list[tuple[int, float]]) -> int:
    """Kill loads at `moments` (commits made, seconds after), each followed by a retry; returns how many died before they were done."""
    died = 0
    first, second = dump_contents(seed)
    undisturbed = SparkTables(spark, folder / "undisturbed")
    summaries = [undisturbed.load(content) for content in (first, second)]
    for i, (commits, delay_seconds) in enumerate(moments):
        disturbed = SparkTables(spark, folder / f"disturbed{i}")
        disturbed.load(first)
        died += load_and_kill(disturbed, disturbed.write(second), commits, delay_seconds)
        retried = disturbed.load(second)
        assert (retried.records, retried.accepted, retried.duplicates, retried.quarantined) == (
            summaries[1].records,
            summaries[1].accepted,
            summaries[1].duplicates,
            summaries[1].quarantined,
        ), (commits, delay_seconds)
        assert disturbed.snapshot() == undisturbed.snapshot(), (commits, delay_seconds)
    return died
