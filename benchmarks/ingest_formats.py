"""Measure the throughput of load_dumps by format, against Polars' own reader, which writes nothing.

    python -m benchmarks.ingest_formats --megabytes 1000

The same generated tweets are written as canonical CSV, CSV with semicolons, JSONL and Parquet in a temporary
folder (TMPDIR). The output is Markdown. Each contender runs in a separate process with two cores.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars

from benchmarks.ingest import BYTES_PER_TWEET, load_dumps, local_store, make_dump
from benchmarks.ingest_rivals import run_rival
from benchmarks.measurement import CORES


def write_formats(dump: Path) -> Iterator[tuple[str, Path]]:
    """Yield the rival in Polars and the path of a dump in other formats, one after the other."""
    for rival, name in (
        ("polars_read_csv", "canonical.csv"),
        ("polars_read_semicolons", "semicolons.csv"),
        ("polars_read_ndjson", "tweets.jsonl"),
        ("polars_read_parquet", "tweets.parquet"),
    ):
        path = dump.with_name(name)
        # In another process: a child of a large process counts the memory of its parent as its own peak.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            process.submit(convert, dump, path).result()
        yield rival, path
        path.unlink()


def convert(dump: Path, path: Path) -> None:
    """Write a canonical dump in another format."""
    table = polars.read_csv(dump, infer_schema=False, truncate_ragged_lines=True)
    if path.suffix == ".jsonl":
        table.write_ndjson(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator=";" if path.stem == "semicolons" else ",")


def measure_formats(folder: Path, megabytes: int) -> None:
    dump = make_dump(folder / "dump.csv", megabytes * 1_000_000 // BYTES_PER_TWEET, seed=7)
    print(f"{CORES} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| dump | MB | load_dumps, s | MB/s | CPU s | peak memory, MB | Polars reads it, s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for rival, path in write_formats(dump):
        size = path.stat().st_size / 1e6
        loaded = load_dumps(local_store(folder / path.stem, path))
        shutil.rmtree(folder / path.stem)
        seconds = run_rival(rival, str(path), "", folder)
        print(
            f"| {path.name} | {size:.0f} | {loaded.seconds:.1f} | {size / loaded.seconds:.0f} "
            f"| {loaded.cpu_seconds:.1f} | {loaded.memory_mb:.0f} | {seconds:.1f} "
            f"| {loaded.seconds / seconds:.1f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure load_dumps by format.")
    parser.add_argument("--megabytes", type=int, default=1_000, help="size of the canonical CSV")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-formats-") as folder:
        measure_formats(Path(folder), options.megabytes)


if __name__ == "__main__":
    main()
