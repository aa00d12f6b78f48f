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
import shutil
import statistics
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from benchmarks.clean_contenders import CONTENDERS, run_baseline, run_contender
from benchmarks.clean_rivals import RESULT_COLUMNS
from benchmarks.measurement import CORES
from benchmarks.varied_tweets import tweets

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


def write_tweets(folder: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Append to `tweets_raw` in `folder`, with change data feed."""
    first, *rest = batches
    reader = pa.RecordBatchReader.from_batches(first.schema, [first, *rest])
    write_deltalake(
        folder / "tweets_raw", reader, mode="append", configuration={"delta.enableChangeDataFeed": "true"}
    )


def with_unique_tokens(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the tweets with a unique link and a unique number at the end of each."""
    for batch in batches:
        ends = pc.binary_join_element_wise(
            "https://t.co/", batch["tweet_id"], " ", pc.utf8_slice_codeunits(batch["tweet_id"], 1), ""
        )
        texts = pc.binary_join_element_wise(batch["safe_text"], ends, " ")
        index = batch.schema.get_field_index("safe_text")
        yield pa.RecordBatch.from_arrays(
            [texts if i == index else column for i, column in enumerate(batch.columns)], schema=batch.schema
        )


def rows_that_differ(ours: pl.DataFrame, theirs: pl.DataFrame) -> int:
    """Count the rows of `theirs` without an equal row in `ours`. Both have RESULT_COLUMNS."""
    together = theirs.join(ours, on="tweet_id", how="left", suffix="_ours")
    columns = [name for name in theirs.columns if name != "tweet_id"]
    return together.filter(
        ~pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_ours")) for name in columns)
    ).height


def throughput(folder: Path, options: argparse.Namespace) -> None:
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


def increment_of(table: pa.Table) -> pa.Table:
    """Return a later dump. The first KNOWN ids are in the table; half of these tweets have another text."""
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
