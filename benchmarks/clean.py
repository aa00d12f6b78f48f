"""Measure clean_tweets against an earlier commit, Polars, pandas with NLTK, and only reading and writing.

    python -m benchmarks.clean throughput --tweets 2000000 --baseline-commit 981bcd8
    python -m benchmarks.clean throughput --tweets 2000000 --unique
    python -m benchmarks.clean increment --rows 1000000

The benchmark generates tweets in a temporary folder (TMPDIR), runs each contender in its own process with two
cores, compares the rows, and prints Markdown for docs/benchmarks.md. It measures wall time and CPU time after
the start of a contender's session. CPU time includes child processes (JVM, Python workers) and does not
depend on other programs. pandas cleans only the first SAMPLE tweets because its time is proportional to them.
`--unique` adds a unique link and a unique number to each tweet.
"""

import argparse
import datetime
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deploy.embedded.install import CLASS_ARCHIVE, class_archive_is_current, find_java_home, spark_class_path

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import SparkSession

REPOSITORY = Path(__file__).parents[1]
CORES = 2
DRIVER_MEMORY = "3g"  # as dags/common/defaults.py has it
SAMPLE = 20_000
# Required speed of the job relative to each contender.
AIMS = {"baseline": 2.0, "read_write": 1 / 1.5, "polars": 1.0, "pandas_nltk": 10.0}
# An increment has INCREMENT tweets. KNOWN of them are already in the table, half of these with another text.
INCREMENT, KNOWN = 10_000, 1_000


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure clean_tweets.")
    commands = parser.add_subparsers(dest="command", required=True)
    throughput = commands.add_parser("throughput", help="clean a whole table")
    throughput.add_argument("--tweets", type=int, default=2_000_000)
    throughput.add_argument(
        "--unique", action="store_true", help="a unique link and a unique number in each tweet"
    )
    throughput.add_argument(
        "--baseline-commit", metavar="COMMIT", help="also measure clean_tweets of this commit"
    )
    throughput.add_argument(
        "--contenders",
        default="clean_tweets,read_write,polars,pandas_nltk",
        help="contenders to run, in this order",
    )
    increment = commands.add_parser(
        "increment", help="clean a small dump on a large table and on an empty one"
    )
    increment.add_argument("--rows", type=int, default=1_000_000)
    increment.add_argument("--repeats", type=int, default=3)
    for command in (throughput, increment):
        command.add_argument("--seed", type=int, default=7)
    contender = commands.add_parser("contender", help="run one contender (internal)")
    contender.add_argument("name", choices=sorted(CONTENDERS))
    contender.add_argument("folder", type=Path)
    return parser


def write_tweets(folder: Path, batches: "Iterable[pa.RecordBatch]") -> None:
    """Append to `tweets_raw` in `folder`, with change data feed."""
    import pyarrow as pa
    from deltalake import write_deltalake

    first, *rest = batches
    reader = pa.RecordBatchReader.from_batches(first.schema, [first, *rest])
    write_deltalake(
        folder / "tweets_raw", reader, mode="append", configuration={"delta.enableChangeDataFeed": "true"}
    )


def with_unique_tokens(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """Yield the tweets with a unique link and a unique number at the end of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        ends = pc.binary_join_element_wise(
            "https://t.co/", batch["tweet_id"], " ", pc.utf8_slice_codeunits(batch["tweet_id"], 1), ""
        )
        texts = pc.binary_join_element_wise(batch["safe_text"], ends, " ")
        index = batch.schema.get_field_index("safe_text")
        yield pa.RecordBatch.from_arrays(
            [texts if i == index else column for i, column in enumerate(batch.columns)], schema=batch.schema
        )


class Clock:
    """Wall time since its creation, and CPU time of this process and its children."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), self.cpu_seconds()

    @staticmethod
    def cpu_seconds() -> float:
        process = psutil.Process()
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(times.user + times.system for times in used)

    def result(self, rows: float) -> dict[str, float]:
        return {
            "seconds": time.monotonic() - self.wall,
            "cpu_seconds": self.cpu_seconds() - self.cpu,
            "rows": rows,
        }


@contextmanager
def spark_session() -> "Iterator[SparkSession]":
    from spark_jobs.clean_tweets import SETTINGS
    from spark_jobs.session import open_session

    spark = open_session("benchmark")
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    yield spark
    spark.stop()


def peak_memory_mb() -> float:
    """Return the peak memory of the Python workers."""
    workers = [process for process in psutil.Process().children(recursive=True) if "python" in process.name()]
    statuses = [Path(f"/proc/{worker.pid}/status").read_text() for worker in workers]
    return max(
        (
            int(line.split()[1]) / 1024
            for status in statuses
            for line in status.splitlines()
            if line.startswith("VmHWM")
        ),
        default=0,
    )


def run_clean_tweets(folder: Path) -> dict[str, float]:
    from pyspark.sql import functions as F

    from spark_jobs.clean_tweets import clean_tweets
    from spark_jobs.cleaning.stems import stem

    with spark_session() as spark:
        clock = Clock()
        clean_tweets(spark, str(folder / "tweets_raw"), str(folder / "tweets_clean"))
        result = clock.result(0) | {"worker_mb": peak_memory_mb()}
        # The other contenders use the job's stems. Writing them is not measured.
        cleaned = spark.read.format("delta").load(str(folder / "tweets_clean"))
        words = cleaned.select(F.explode(F.split(F.lower("clean_text"), " ")).alias("word")).distinct()
        words.select("word", stem(F.col("word")).alias("stem")).write.mode("overwrite").parquet(
            str(folder / "stems.parquet")
        )
        return result | {"rows": cleaned.count()}


def run_read_write(folder: Path) -> dict[str, float]:
    with spark_session() as spark:
        clock = Clock()
        spark.read.format("delta").load(str(folder / "tweets_raw")).write.format("delta").save(
            str(folder / "copy")
        )
        return clock.result(0) | {"rows": spark.read.format("delta").load(str(folder / "copy")).count()}


def run_polars(folder: Path) -> dict[str, float]:
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import clean_with_polars

    vocabulary = pl.read_parquet(folder / "stems.parquet/*.parquet")
    clock = Clock()
    rows = clean_with_polars([Path(uri) for uri in DeltaTable(folder / "tweets_raw").file_uris()], vocabulary)
    rows.write_parquet(folder / "polars.parquet")
    return clock.result(rows.height)


def run_pandas_nltk(folder: Path) -> dict[str, float]:
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import clean_with_pandas

    vocabulary = pl.read_parquet(folder / "stems.parquet/*.parquet")
    stem_of = dict(vocabulary.select("word", "stem").iter_rows())
    sample = pl.scan_parquet(DeltaTable(folder / "tweets_raw").file_uris()).head(SAMPLE).collect().to_pandas()
    clock = Clock()
    rows = clean_with_pandas(sample, stem_of)
    result = clock.result(len(rows))
    rows.to_parquet(folder / "pandas_nltk.parquet")
    return result


CONTENDERS: dict[str, Callable[[Path], dict[str, float]]] = {
    "clean_tweets": run_clean_tweets,
    "read_write": run_read_write,
    "polars": run_polars,
    "pandas_nltk": run_pandas_nltk,
}


def run_contender(name: str, folder: Path) -> dict[str, float]:
    """Run one contender in its own process, with the deployment's JVM options. Return its measurements."""
    java_home = find_java_home()
    options = (
        [f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", "-Xlog:cds*=off"]
        if class_archive_is_current(java_home)
        else []
    )
    jvm = [
        "--conf",
        f"spark.driver.extraClassPath={spark_class_path()}",
        "--driver-java-options",
        " ".join(options),
    ]
    return run_in_process(["contender", name, str(folder)], REPOSITORY, java_home, folder, jvm)


def run_in_process(
    arguments: list[str], code: Path, java_home: Path, folder: Path, jvm: list[str]
) -> dict[str, float]:
    """Run the benchmark of the repository `code` in its own process, and return its last line."""
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.local.dir": str(folder)}
    conf = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    environment = os.environ | {
        "PYTHONPATH": str(code),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(java_home),
        "POLARS_MAX_THREADS": str(CORES),
        "PYSPARK_SUBMIT_ARGS": shlex.join(
            ["--master", f"local[{CORES}]", "--driver-memory", DRIVER_MEMORY, *jvm, *conf, "pyspark-shell"]
        ),
    }
    command = [sys.executable, "-m", "benchmarks.clean", *arguments]
    done = subprocess.run(command, check=True, cwd=code, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_baseline(commit: str, folder: Path) -> dict[str, float]:
    """Run clean_tweets of an earlier commit, whose benchmark has the option --contender."""
    code, tables = folder / "baseline_code", folder / "baseline"
    code.mkdir()
    tables.mkdir()
    (tables / "tweets_raw").symlink_to(folder / "tweets_raw")
    archive = subprocess.run(
        ["git", "archive", commit], check=True, cwd=REPOSITORY, stdout=subprocess.PIPE
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(code)], check=True, input=archive)
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("*.jar")))
    arguments = ["--contender", "clean_tweets", "--folder", str(tables)]
    return run_in_process(arguments, code, find_java_home(), tables, ["--jars", jars])


def rows_that_differ(ours: "pl.DataFrame", theirs: "pl.DataFrame") -> int:
    """Count the rows of `theirs` without an equal row in `ours`. Both have RESULT_COLUMNS."""
    together = theirs.join(ours, on="tweet_id", how="left", suffix="_ours")
    columns = [name for name in theirs.columns if name != "tweet_id"]
    import polars as pl

    return together.filter(
        ~pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_ours")) for name in columns)
    ).height


def throughput(folder: Path, options: argparse.Namespace) -> None:
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import RESULT_COLUMNS
    from benchmarks.varied_tweets import tweets

    batches = tweets(options.tweets, options.seed)
    write_tweets(folder, with_unique_tokens(batches) if options.unique else batches)
    results = {contender: run_contender(contender, folder) for contender in options.contenders.split(",")}
    ours = pl.read_parquet(DeltaTable(folder / "tweets_clean").file_uris(), columns=RESULT_COLUMNS)
    rows_of = {contender: folder / f"{contender}.parquet" for contender in ("polars", "pandas_nltk")}
    if options.baseline_commit:
        results["baseline"] = run_baseline(options.baseline_commit, folder)
        pl.read_parquet(
            DeltaTable(folder / "baseline/tweets_clean").file_uris(), columns=RESULT_COLUMNS
        ).write_parquet(folder / "baseline.parquet")
        rows_of["baseline"] = folder / "baseline.parquet"
    job = results["clean_tweets"]
    print(
        f"{options.tweets:,} generated tweets{' with unique links and numbers' if options.unique else ''}, "
        f"{CORES} cores, load {os.getloadavg()[0]:.1f}; at most {job['worker_mb']:.0f} MB per Python worker\n"
    )
    print(
        "| contender | rows | s | rows/s | CPU µs/row | speed-up | CPU speed-up | rows that differ |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for contender, result in results.items():
        theirs = rows_of.get(contender)
        differing = str(rows_that_differ(ours, pl.read_parquet(theirs))) if theirs and theirs.exists() else ""
        ratio, cpu_ratio = (
            (result[of] / result["rows"]) / (job[of] / job["rows"]) for of in ("seconds", "cpu_seconds")
        )
        aim = f" (aim: {AIMS[contender]:.2g} x)" if contender in AIMS else ""
        speed, cpu = result["rows"] / result["seconds"], result["cpu_seconds"] / result["rows"] * 1e6
        print(
            f"| {contender} | {result['rows']:,.0f} | {result['seconds']:.1f} | {speed:,.0f} | {cpu:.1f} "
            f"| {ratio:.2f} x{aim} | {cpu_ratio:.2f} x | {differing} |"
        )


def increment_of(table: "pa.Table") -> "pa.Table":
    """Return a later dump. The first KNOWN tweets keep their ids, and half of these change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pa.array(range(INCREMENT))
    ids = pc.if_else(
        pc.less(numbers, KNOWN), table["tweet_id"], pc.binary_join_element_wise("N", table["tweet_id"], "")
    )
    texts = pc.if_else(
        pc.less(numbers, KNOWN // 2),
        pc.binary_join_element_wise(table["safe_text"], "corrected", " "),
        table["safe_text"],
    )
    later = pc.add(table["delivered_at"], pa.scalar(datetime.timedelta(days=1)))
    columns = {
        "tweet_id": ids,
        "safe_text": texts,
        "dump_sha256": pa.array(["1" * 64] * INCREMENT),
        "delivered_at": later,
    }
    return pa.table({name: columns.get(name, table[name]) for name in table.column_names})


def increment(folder: Path, options: argparse.Namespace) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    from benchmarks.varied_tweets import tweets

    table = pa.Table.from_batches(tweets(options.rows, options.seed))
    every = pa.array(range(0, options.rows, options.rows // INCREMENT))[:INCREMENT]
    dump = increment_of(pc.take(table, every))  # corrections in all files of the table
    results: dict[str, list[dict[str, float]]] = {"empty table": [], f"table of {options.rows:,} rows": []}
    large = folder / "large"
    large.mkdir()
    write_tweets(large, table.to_batches())
    run_contender("clean_tweets", large)
    write_tweets(large, dump.to_batches())
    for number in range(options.repeats):
        for name, measured in results.items():
            copy = folder / f"copy_{number}"
            if name == "empty table":
                copy.mkdir()
                write_tweets(copy, dump.to_batches())
            else:
                shutil.copytree(large, copy)
            measured.append(run_contender("clean_tweets", copy))
            shutil.rmtree(copy)
    print(
        f"{INCREMENT:,} tweets, {KNOWN:,} of them in the table, half of these corrected, "
        f"{CORES} cores, load {os.getloadavg()[0]:.1f}; medians\n"
    )
    print("| | s | CPU s | against empty | by CPU |\n|---|---|---|---|---|")
    medians = {
        name: [statistics.median(run[of] for run in runs) for of in ("seconds", "cpu_seconds")]
        for name, runs in results.items()
    }
    base = medians["empty table"]
    for name, (seconds, cpu_seconds) in medians.items():
        print(
            f"| {name} | {seconds:.1f} | {cpu_seconds:.1f} "
            f"| {seconds / base[0]:.2f} x | {cpu_seconds / base[1]:.2f} x |"
        )


def main() -> None:
    options = arg_parser().parse_args()
    if options.command == "contender":
        print(json.dumps(CONTENDERS[options.name](options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-clean-") as name:
        {"throughput": throughput, "increment": increment}[options.command](Path(name), options)


if __name__ == "__main__":
    main()
