"""How fast load_dump is, and what a small dump costs on a large table.

    python -m benchmarks.ingest throughput --megabytes 1000    # load_dump, Spark's own multiLine read, Polars; one run
    python -m benchmarks.ingest increment --rows 1000000       # 10,000 tweets on an empty table and on one of that many rows

Both make their dumps with deploy.sample_dump in a temporary folder (TMPDIR moves it) and print Markdown for docs/benchmarks.md. Each contender
runs in a process of its own with two cores; the clock starts when its session stands, because a session costs all of Spark's contenders the same.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.install import find_java_home

REPOSITORY = Path(__file__).parents[1]
CORES = 2
BYTES_PER_TWEET = 107
INCREMENT_TWEETS = 10_000
# So many of a second increment's tweets are in the large table already.
KNOWN_TWEETS = 1_000
REPETITIONS = 5


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure load_dump.")
    commands = parser.add_subparsers(dest="command", required=True)
    throughput = commands.add_parser(
        "throughput", help="MB/s of load_dump, of Spark's multiLine CSV read written to Delta, of Polars read_csv"
    )
    throughput.add_argument("--megabytes", type=int, default=1_000)
    increment = commands.add_parser("increment", help="seconds for 10,000 tweets on an empty table and on a large one")
    increment.add_argument("--rows", type=int, default=1_000_000)
    contender = commands.add_parser("contender", help="used by the other two: one contender, result as JSON")
    contender.add_argument("name", choices=sorted(CONTENDERS))
    contender.add_argument("folder", type=Path)
    contender.add_argument("dump", type=Path, nargs="+")
    return parser


def make_dump(folder: Path, tweets: int, seed: int) -> Path:
    """A generated dump in `folder`, named by its hash."""
    written = folder / "dump"
    command = [sys.executable, "-m", "deploy.sample_dump", "--tweets", str(tweets), "--seed", str(seed), "--output", str(written)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    with written.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return written.rename(folder / f"{digest}.csv")


def make_increment(folder: Path, large: Path, known_tweets: int) -> Path:
    """A dump of INCREMENT_TWEETS, `known_tweets` of which lie spread over `large`, every second of them with another label."""
    new = make_dump(folder, INCREMENT_TWEETS - known_tweets, seed=3)
    known: list[str] = []
    with large.open(encoding="utf-8") as lines:
        step = max(1, large.stat().st_size // BYTES_PER_TWEET // KNOWN_TWEETS // 8)
        for i, line in enumerate(lines):
            if i % step == 1 and line.count(",") == 3 and '"' not in line and line.endswith(",0.0,1.0\n") and len(known) < known_tweets:
                known.append(line if len(known) % 2 else line.replace(",0.0,1.0\n", ",1.0,1.0\n"))
    content = new.read_bytes() + "".join(known).encode()
    dump = folder / f"{hashlib.sha256(content).hexdigest()}.csv"
    dump.write_bytes(content)
    return dump


def spark_load_dump(folder: Path, dumps: list[Path]) -> dict[str, object]:
    """Load the dumps one after the other; the seconds are those of the last one."""
    from spark_jobs.load_dump import arg_parser as load_arguments
    from spark_jobs.load_dump import load
    from spark_jobs.session import open_session

    spark = open_session("benchmark")
    for dump in dumps:
        tables = [f"--{name}={folder / name}" for name in ("tweets-raw", "quarantine", "dumps")]
        started = time.monotonic()
        summary = load(spark, load_arguments().parse_args([f"--dump={dump}", "--source=benchmark", "--run-id=benchmark", *tables]))
        seconds = time.monotonic() - started
    return {"seconds": seconds, "rows": summary.accepted, "records": summary.records}


def spark_increments(folder: Path, dumps: list[Path]) -> dict[str, object]:
    """Load the last dump REPETITIONS times, each time into a copy of tables that hold all the dumps before it."""
    from spark_jobs.load_dump import arg_parser as load_arguments
    from spark_jobs.load_dump import load
    from spark_jobs.session import open_session

    spark = open_session("benchmark")

    def run(place: Path, dump: Path) -> float:
        tables = [f"--{name}={place / name}" for name in ("tweets-raw", "quarantine", "dumps")]
        started = time.monotonic()
        load(spark, load_arguments().parse_args([f"--dump={dump}", "--source=benchmark", "--run-id=benchmark", *tables]))
        return time.monotonic() - started

    *before, last = dumps
    tables = {name: folder / name for name in ("empty", "large")}
    run(tables["empty"], before[0])
    for dump in before:
        run(tables["large"], dump)
    seconds: dict[str, list[float]] = {name: [] for name in tables}
    for i in range(REPETITIONS + 1):
        # In turn, so that the machine's moods meet both.
        for name, template in tables.items():
            copy = folder / f"{name}{i}"
            shutil.copytree(template, copy)
            seconds[name].append(run(copy, last))
            shutil.rmtree(copy)
    # The first round warms the JVM up.
    return {name: values[1:] for name, values in seconds.items()}


def spark_multiline(folder: Path, dumps: list[Path]) -> dict[str, object]:
    from spark_jobs.session import open_session

    spark = open_session("benchmark")
    started = time.monotonic()
    rows = spark.read.csv(
        str(dumps[0]), header=True, multiLine=True, escape='"', schema="tweet_id string, safe_text string, label double, agreement double"
    )
    rows.write.format("delta").save(str(folder / "multiline"))
    seconds = time.monotonic() - started
    return {"seconds": seconds, "rows": spark.read.format("delta").load(str(folder / "multiline")).count()}


def polars_read_csv(folder: Path, dumps: list[Path]) -> dict[str, object]:
    import polars

    started = time.monotonic()
    rows = polars.read_csv(dumps[0], infer_schema=False, truncate_ragged_lines=True)
    return {"seconds": time.monotonic() - started, "rows": rows.height}


CONTENDERS: dict[str, Callable[[Path, list[Path]], dict[str, object]]] = {
    "load_dump": spark_load_dump,
    "spark_multiline": spark_multiline,
    "polars_read_csv": polars_read_csv,
    "increments": spark_increments,
}


def run_contender(name: str, folder: Path, dumps: list[Path]) -> dict:
    """Run one contender in a process of its own and return what it measured."""
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("delta-*.jar")))
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(find_java_home()),
        "POLARS_MAX_THREADS": str(CORES),
        "PYSPARK_SUBMIT_ARGS": f"--master local[{CORES}] --driver-memory 4g --jars {jars} --conf spark.ui.enabled=false "
        f"--conf spark.driver.host=127.0.0.1 --conf spark.local.dir={folder} pyspark-shell",
    }
    command = [sys.executable, "-m", "benchmarks.ingest", "contender", name, str(folder), *map(str, dumps)]
    done = subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_throughput(folder: Path, megabytes: int) -> None:
    dump = make_dump(folder, megabytes * 1_000_000 // BYTES_PER_TWEET, seed=7)
    size = dump.stat().st_size / 1e6
    results = {name: run_contender(name, folder, [dump]) for name in ("load_dump", "spark_multiline", "polars_read_csv")}
    print(f"Generated dump of {size:.0f} MB, {results['load_dump']['records']:,} records, {CORES} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| contender | s | MB/s | rows | against Spark multiLine |\n|---|---|---|---|---|")
    for name, result in results.items():
        ratio = results["spark_multiline"]["seconds"] / result["seconds"]
        print(f"| {name} | {result['seconds']:.1f} | {size / result['seconds']:.1f} | {result['rows']:,} | {ratio:.2f} x |")


def measure_increment(folder: Path, rows: int) -> None:
    small, large = (make_dump(folder, tweets, seed) for seed, tweets in ((1, 1), (2, rows)))
    print(f"{INCREMENT_TWEETS:,} tweets, {CORES} cores, median (smallest, largest) of {REPETITIONS}\n")
    print(
        "| of them known, half of these corrected | empty table, s | table of " + f"{rows:,} rows, s | against empty |\n|---|---|---|---|"
    )
    for known_tweets in (0, KNOWN_TWEETS):
        tables = folder / f"known{known_tweets}"
        tables.mkdir()
        values = run_contender("increments", tables, [small, large, make_increment(folder, large, known_tweets)])
        empty, full = (f"{statistics.median(values[of]):.2f} ({min(values[of]):.2f}, {max(values[of]):.2f})" for of in ("empty", "large"))
        ratio = statistics.median(values["large"]) / statistics.median(values["empty"])
        print(f"| {known_tweets:,} | {empty} | {full} | {ratio:.2f} x |", flush=True)


def main() -> None:
    options = arg_parser().parse_args()
    if options.command == "contender":
        print(json.dumps(CONTENDERS[options.name](options.folder, options.dump)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        if options.command == "throughput":
            measure_throughput(Path(folder), options.megabytes)
        else:
            measure_increment(Path(folder), options.rows)


if __name__ == "__main__":
    main()
