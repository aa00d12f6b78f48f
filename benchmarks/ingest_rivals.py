"""Rivals of load_dumps for benchmarks.ingest: Spark's multiLine CSV reader and Polars.

python -m benchmarks.ingest_rivals spark_multiline DUMP TABLE    # prints JSON with the seconds
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.measurement import REPOSITORY, run_in_process


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


def polars_read_semicolons(dump: str, table: str) -> float:
    """Return the seconds that Polars takes to read a dump with semicolons. It writes nothing."""
    import polars

    started = time.monotonic()
    polars.read_csv(dump, separator=";", infer_schema=False, truncate_ragged_lines=True)
    return time.monotonic() - started


def polars_read_ndjson(dump: str, table: str) -> float:
    """Return the seconds that Polars takes to read a JSONL dump. It writes nothing."""
    import polars

    started = time.monotonic()
    polars.read_ndjson(dump)
    return time.monotonic() - started


def polars_read_parquet(dump: str, table: str) -> float:
    """Return the seconds that Polars takes to read a Parquet dump. It writes nothing."""
    import polars

    started = time.monotonic()
    polars.read_parquet(dump)
    return time.monotonic() - started


RIVALS = {
    reader.__name__: reader
    for reader in (
        spark_multiline,
        polars_read_csv,
        polars_read_semicolons,
        polars_read_ndjson,
        polars_read_parquet,
    )
}


def run_rival(name: str, dump: str, table: str, folder: Path) -> float:
    """Run a rival in a separate process and return its run time in seconds."""
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("delta-*.jar")))
    options = ["--driver-memory", "4g", "--jars", jars, "--conf", "spark.hadoop.dfs.replication=1"]
    return run_in_process("benchmarks.ingest_rivals", [name, dump, table], folder, options)["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one rival of load_dumps.")
    parser.add_argument("name", choices=RIVALS)
    parser.add_argument("dump")
    parser.add_argument("table")
    options = parser.parse_args()
    print(json.dumps({"seconds": RIVALS[options.name](options.dump, options.table)}))


if __name__ == "__main__":
    main()
