"""Measure the throughput of load_dumps, a small dump on a large log, and dumps that are hard to parse.

    python -m benchmarks.ingest throughput --megabytes 1000  # against Spark and Polars, local files and HDFS
    python -m benchmarks.ingest increment --rows 1000000     # 10,000 tweets into an empty and a large log
    python -m benchmarks.ingest hard                         # for example gzip of 2 GiB, CR line ends
    python -m benchmarks.ingest many --dumps 200,400         # small dumps at once

deploy.common.sample_dump generates the dumps in a temporary folder (TMPDIR). The output is Markdown. Each
contender runs in a separate process with two cores. Throughput is that of the faster of two runs. The time
of load_dumps includes the start of Python. The time of Spark does not include the start of its session.
"""

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.ingest_rivals import run_rival
from benchmarks.measurement import CORES, REPOSITORY, throwaway_hdfs

BYTES_PER_TWEET = 107
INCREMENT_TWEETS = 10_000
# Number of tweets of the second increment that are in the large log already.
KNOWN_TWEETS = 1_000
REPETITIONS = 5
TABLES = ("tweets_raw", "quarantine", "dumps", "mappings", "erasures")
ROUNDS = 2


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure load_dumps.")
    commands = parser.add_subparsers(dest="command", required=True)
    throughput = commands.add_parser(
        "throughput",
        help="MB/s of load_dumps, of Spark's multiLine CSV read written to Delta, of Polars read_csv",
    )
    throughput.add_argument("--megabytes", type=int, default=1_000)
    increment = commands.add_parser(
        "increment", help="seconds for 10,000 tweets into an empty log and into a large one"
    )
    increment.add_argument("--rows", type=int, default=1_000_000)
    hard = commands.add_parser("hard", help="seconds and memory for hard dumps, at two sizes")
    hard.add_argument("--megabytes", type=int, default=128, help="the smaller size")
    many = commands.add_parser("many", help="seconds per dump, for numbers of small dumps")
    many.add_argument("--dumps", default="200,400")
    many.add_argument("--hdfs", action="store_true", help="in a temporary HDFS instead of local files")
    return parser


def make_dump(path: Path, tweets: int, seed: int) -> Path:
    """Write a generated dump and return its path."""
    command = [sys.executable, "-m", "deploy.common.sample_dump"]
    command += [f"--tweets={tweets}", f"--seed={seed}", f"--output={path}"]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return path


@dataclass(frozen=True)
class Loaded:
    """Cost of a run of load_dumps (wall-clock seconds, CPU seconds, peak memory) and its last result."""

    seconds: float
    cpu_seconds: float
    memory_mb: float
    line: str


def load_dumps(store: str) -> Loaded:
    """Run load_dumps on a folder or HDFS URI that contains delivered dumps."""
    places = [f"--{name}={store}/{name}" for name in ("delivered", "raw")]
    places += [f"--{name.replace('_', '-')}={store}/tables/{name}" for name in TABLES]
    gate = [
        "--max-quarantined-share=1",
        "--max-label-distance=1",
        "--max-changed-texts-share=1",
        "--max-tries=1",
    ]
    gate += ["--min-median-length=0", "--max-median-length=1e9"]
    command = [sys.executable, "-m", "loading.load_dumps", *places, *gate, "--run-id=benchmark"]
    os.sync()  # flush earlier writes, so that they do not slow down the measurement
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"load_dumps ended with status {process.returncode}: {lines}")
    return Loaded(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines[-2])


def fastest(load: Callable[[int], Loaded]) -> Loaded:
    """Return the fastest round. The first one is slower, because the kernel reclaims memory of others."""
    return min((load(i) for i in range(ROUNDS)), key=lambda loaded: loaded.seconds)


def local_store(folder: Path, *dumps: Path) -> str:
    """Create a folder with these delivered dumps."""
    (folder / "delivered").mkdir(parents=True)
    for i, dump in enumerate(dumps):
        os.link(dump, folder / "delivered" / f"20261101T00{i:02d}00.000Z-{dump.name}")
    return str(folder)


def measure_throughput(folder: Path, megabytes: int) -> None:
    dump = make_dump(folder / "dump.csv", megabytes * 1_000_000 // BYTES_PER_TWEET, seed=7)
    size = dump.stat().st_size / 1e6
    print(f"Generated dump of {size:.0f} MB, {CORES} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| files | contender | s | MB/s | CPU s | peak memory, MB | relative to Spark multiLine |")
    print("|---|---|---|---|---|---|---|")

    def show(files: str, name: str, seconds: float, rival: float, loaded: Loaded | None = None) -> None:
        more = f"{loaded.cpu_seconds:.1f} | {loaded.memory_mb:.0f}" if loaded else " | "
        print(
            f"| {files} | {name} | {seconds:.1f} | {size / seconds:.1f} | {more} | {rival / seconds:.2f} x |",
            flush=True,
        )

    loaded = fastest(lambda i: load_dumps(local_store(folder / f"store{i}", dump)))
    spark = min(
        run_rival("spark_multiline", str(dump), str(folder / f"multiline{i}"), folder) for i in range(ROUNDS)
    )
    polars = run_rival("polars_read_csv", str(dump), "", folder)
    show("local files", "load_dumps", loaded.seconds, spark, loaded)
    show("local files", "spark_multiline", spark, spark)
    show("local files", "polars_read_csv (reads only)", polars, spark)
    print(f"\n{loaded.line}\n", file=sys.stderr)
    for i in range(ROUNDS):
        for name in (f"store{i}", f"multiline{i}"):
            shutil.rmtree(folder / name)
    with throwaway_hdfs(folder / "hdfs") as (uri, client):
        for i in range(ROUNDS):
            client.upload(f"/store{i}/delivered/20261101T000000.000Z-dump.csv", str(dump))
        client.upload("/dump.csv", str(dump))
        loaded = fastest(lambda i: load_dumps(f"{uri}/store{i}"))
        spark = min(
            run_rival("spark_multiline", f"{uri}/dump.csv", f"{uri}/multiline{i}", folder)
            for i in range(ROUNDS)
        )
        show("HDFS", "load_dumps", loaded.seconds, spark, loaded)
        show("HDFS", "spark_multiline", spark, spark)


def make_increment(path: Path, large: Path, known_tweets: int) -> Path:
    """Write a dump of INCREMENT_TWEETS tweets. Return its path.

    It contains `known_tweets` tweets of `large`, from all parts of the file. Half of them have another label.
    """
    new = make_dump(path, INCREMENT_TWEETS - known_tweets, seed=3)
    known: list[str] = []
    with large.open(encoding="utf-8") as lines:
        step = max(1, large.stat().st_size // BYTES_PER_TWEET // KNOWN_TWEETS // 8)
        for i, line in enumerate(lines):
            if (
                i % step == 1
                and line.count(",") == 3
                and '"' not in line
                and line.endswith(",0.0,1.0\n")
                and len(known) < known_tweets
            ):
                known.append(line if len(known) % 2 else line.replace(",0.0,1.0\n", ",1.0,1.0\n"))
    with new.open("a", encoding="utf-8") as file:
        file.writelines(known)
    return new


def measure_increment(folder: Path, rows: int) -> None:
    small, large = (
        make_dump(folder / f"{name}.csv", tweets, seed)
        for name, seed, tweets in (("small", 1, 1), ("large", 2, rows))
    )
    templates = {
        "empty": local_store(folder / "empty", small),
        "large": local_store(folder / "large-log", small, large),
    }
    for store in templates.values():
        load_dumps(store)
    print(f"{INCREMENT_TWEETS:,} tweets, {CORES} cores, median (smallest, largest) of {REPETITIONS}\n")
    print(f"| known tweets, half of them corrected | empty log, s | log of {rows:,} rows, s | ratio |")
    print("|---|---|---|---|")
    for known_tweets in (0, KNOWN_TWEETS):
        increment = make_increment(folder / f"increment{known_tweets}.csv", large, known_tweets)
        seconds: dict[str, list[float]] = {name: [] for name in templates}
        for _ in range(REPETITIONS + 1):
            # Alternate, so that other load on the machine affects both.
            for name, template in templates.items():
                copy = folder / "copy"
                shutil.copytree(template, copy)
                shutil.copy(increment, copy / "delivered" / "20261102T000000.000Z-increment.csv")
                seconds[name].append(load_dumps(str(copy)).seconds)
                shutil.rmtree(copy)
        # The first round warms the page cache.
        shown = {name: values[1:] for name, values in seconds.items()}
        empty, full = (
            f"{statistics.median(of):.2f} ({min(of):.2f}, {max(of):.2f})"
            for of in (shown["empty"], shown["large"])
        )
        ratio = statistics.median(shown["large"]) / statistics.median(shown["empty"])
        print(f"| {known_tweets:,} | {empty} | {full} | {ratio:.2f} x |", flush=True)


def measure_many(folder: Path, numbers: str, in_hdfs: bool) -> None:
    print("| dumps at once | s | ms per dump | CPU ms per dump | peak memory, MB |\n|---|---|---|---|---|")
    with throwaway_hdfs(folder / "hdfs") if in_hdfs else nullcontext((str(folder), None)) as (store, client):
        for dumps in map(int, numbers.split(",")):
            delivered = folder / f"many{dumps}/delivered"
            delivered.mkdir(parents=True)
            for dump in range(dumps):
                rows = [f"T{dump}N{row},text {row} of dump {dump},{row % 3 - 1}.0,1.0" for row in range(20)]
                moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=dump)
                content = "\n".join(["tweet_id,safe_text,label,agreement", *rows, ""])
                (delivered / f"{moment:%Y%m%dT%H%M%S}.000Z-{dump:05}.csv").write_text(content)
            if client is not None:
                client.upload(f"/many{dumps}/delivered", str(delivered), n_threads=8)
            loaded = load_dumps(f"{store}/many{dumps}")
            each, cpu = (1000 * seconds / dumps for seconds in (loaded.seconds, loaded.cpu_seconds))
            print(f"| {dumps} | {loaded.seconds:.1f} | {each:.0f} | {cpu:.0f} | {loaded.memory_mb:.0f} |")


def hard_dumps(content: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of dumps that are slow to parse, one after the other in the same file."""
    header, _, records = content.read_bytes().partition(b"\n")
    dump = folder / "hard.csv"
    with dump.open("wb") as file:
        file.write(header + b"\n")
        file.writelines(
            f"{n:032d}0000000000000000,text {n},0.0,1.0\n".encode() for n in range(len(records) // 80)
        )
    yield "ids with equal ends", dump
    dump.write_bytes(header + b"\r" + records.replace(b"\r\n", b"\n").replace(b"\n", b"\r"))
    yield "CR line ends", dump
    dump.write_bytes(header + b'\nA0,"never closed,0.0,1.0\n' + records.replace(b'"', b"'"))
    yield "an unclosed quote", dump
    with dump.open("wb") as file:
        file.write(gzip.compress(header + b"\n", 1))
        size = 2_000
        file.writelines(gzip.compress(records[i : i + size], 1) for i in range(0, len(records), size))
    yield f"gzip with a member per {size:,} bytes", dump
    with gzip.open(dump, "wb", 1) as file:
        file.write(header + b"\n" + records)
    yield "gzip with one member", dump


def measure_hard(folder: Path, megabytes: int) -> None:
    tweets = megabytes * 1_000_000 // BYTES_PER_TWEET
    print("| dump | content, MB | s | MB/s | CPU s | peak memory, MB |\n|---|---|---|---|---|---|")
    for factor in (1, 4):
        content = make_dump(folder / "content.csv", tweets * factor, seed=5)
        for name, dump in hard_dumps(content, folder):
            show_hard(folder, name, dump, megabytes * factor)
    # A gzip file of 2 GiB, written without compression.
    with (
        (folder / "hard.csv").open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=0) as file,
    ):
        file.write(b"tweet_id,safe_text\n")
        line = b"%020d," + b"vaccine " * 120 + b"\n"
        for n in range(2**31 // len(line) + 1):
            file.write(line % n)
    show_hard(folder, "gzip file of 2 GiB", folder / "hard.csv", 2_148)


def show_hard(folder: Path, name: str, dump: Path, megabytes: int) -> None:
    loaded = load_dumps(local_store(folder / "store", dump))
    print(
        f"| {name} | {megabytes:,} | {loaded.seconds:.1f} | {megabytes / loaded.seconds:.0f} "
        f"| {loaded.cpu_seconds:.1f} | {loaded.memory_mb:.0f} |",
        flush=True,
    )
    shutil.rmtree(folder / "store")


def main() -> None:
    options = arg_parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        if options.command == "throughput":
            measure_throughput(Path(folder), options.megabytes)
        elif options.command == "increment":
            measure_increment(Path(folder), options.rows)
        elif options.command == "many":
            measure_many(Path(folder), options.dumps, options.hdfs)
        else:
            measure_hard(Path(folder), options.megabytes)


if __name__ == "__main__":
    main()
