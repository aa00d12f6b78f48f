"""Rivals of load_dumps for benchmarks.ingest: Spark's multiLine CSV reader and Polars.

python -m benchmarks.ingest_rivals spark_multiline DUMP TABLE    # prints JSON with the seconds
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from deploy.installation.java import find_java_home

REPOSITORY = Path(__file__).parents[1]
CORES = 2


def spark_multiline(dump: str, table: str) -> float:
    """Return the seconds that Spark takes to read a dump and write it to a Delta table, without its start."""
    from spark_jobs.session import open_session

    spark = open_session("benchmark")
    started = time.monotonic()
    rows = spark.read.csv(
        dump,
        header=True,
        multiLine=True,
        escape='"',
        schema="tweet_id string, safe_text string, label double, agreement double",
    )
    rows.write.format("delta").save(table)
    return time.monotonic() - started


def polars_read_csv(dump: str, table: str) -> float:
    """Return the seconds that Polars takes to read a dump. It writes nothing."""
    import polars

    started = time.monotonic()
    polars.read_csv(dump, infer_schema=False, truncate_ragged_lines=True)
    return time.monotonic() - started


RIVALS = {"spark_multiline": spark_multiline, "polars_read_csv": polars_read_csv}


def run_rival(name: str, dump: str, table: str, folder: Path) -> float:
    """Run a rival in a separate process and return its run time in seconds."""
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("delta-*.jar")))
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(find_java_home()),
        "POLARS_MAX_THREADS": str(CORES),
        "PYSPARK_SUBMIT_ARGS": f"--master local[{CORES}] --driver-memory 4g --jars {jars} "
        "--conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 "
        f"--conf spark.hadoop.dfs.replication=1 --conf spark.local.dir={folder} pyspark-shell",
    }
    command = [sys.executable, "-m", "benchmarks.ingest_rivals", name, dump, table]
    os.sync()  # flush earlier writes, so that they do not slow down the measurement
    done = subprocess.run(
        command, check=True, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one rival of load_dumps.")
    parser.add_argument("name", choices=RIVALS)
    parser.add_argument("dump")
    parser.add_argument("table")
    options = parser.parse_args()
    print(json.dumps({"seconds": RIVALS[options.name](options.dump, options.table)}))


if __name__ == "__main__":
    main()
