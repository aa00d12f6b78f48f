"""How fast clean_tweets is, against the same recipe in Polars and in pandas with NLTK, and against only reading and writing the table.

    python -m benchmarks.clean --tweets 2000000

Generates the tweets in a temporary folder (TMPDIR moves it), runs each contender in a process of its own with two cores, compares the rows
and prints Markdown for docs/benchmarks.md. The clocks start when a contender's session stands: one on the wall, and one that counts the
processor time of the contender and its children (JVM, Python workers), which other programs on the machine do not change. pandas cleans the
first SAMPLE tweets only: it takes time in proportion to them. `--profile` adds where the job's time goes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deploy.embedded.install import find_java_home

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import DataFrame, SparkSession

REPOSITORY = Path(__file__).parents[1]
CORES = 2
SAMPLE = 20_000
# The job must be this many times as fast as the rival (issue: cleaning).
AIMS = {"pandas_nltk": 20.0, "polars": 1.0}


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure clean_tweets.")
    parser.add_argument("--tweets", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="also measure the parts of the job one by one")
    parser.add_argument("--contender", choices=sorted(CONTENDERS), help="used by the benchmark itself: run one contender in --folder")
    parser.add_argument("--folder", type=Path, help="used with --contender")
    return parser


def write_tweets(folder: Path, count: int, seed: int) -> None:
    """`tweets_raw` with change data feed in `folder`."""
    import pyarrow as pa
    from deltalake import write_deltalake

    from benchmarks.varied_tweets import tweets

    batches = tweets(count, seed)
    first = next(batches)

    def all_batches() -> Iterator[pa.RecordBatch]:
        yield first
        yield from batches

    reader = pa.RecordBatchReader.from_batches(first.schema, all_batches())
    write_deltalake(folder / "tweets_raw", reader, configuration={"delta.enableChangeDataFeed": "true"})


class Clock:
    """Seconds since it was made: on the wall, and of processors by this process and its children."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), self.cpu_seconds()

    @staticmethod
    def cpu_seconds() -> float:
        process = psutil.Process()
        used = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(times.user + times.system for times in used)

    def result(self, rows: float) -> dict[str, float]:
        return {"seconds": time.monotonic() - self.wall, "cpu_seconds": self.cpu_seconds() - self.cpu, "rows": rows}


@contextmanager
def spark_session() -> "Iterator[SparkSession]":
    from spark_jobs.clean_tweets import SETTINGS
    from spark_jobs.session import open_session

    spark = open_session("benchmark")
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    yield spark
    spark.stop()


def run_clean_tweets(folder: Path) -> dict[str, float]:
    from spark_jobs.clean_tweets import clean_tweets

    with spark_session() as spark:
        clock = Clock()
        summary = clean_tweets(spark, *(str(folder / name) for name in ("tweets_raw", "tweets_clean", "vocabulary")))
        return clock.result(float(str(summary["rows_cleaned"])))


def run_read_write(folder: Path) -> dict[str, float]:
    with spark_session() as spark:
        clock = Clock()
        spark.read.format("delta").load(str(folder / "tweets_raw")).write.format("delta").save(str(folder / "copy"))
        return clock.result(0) | {"rows": spark.read.format("delta").load(str(folder / "copy")).count()}


def run_profile(folder: Path) -> dict[str, float]:
    """Processor seconds of each part of the job, run by itself without writing."""
    from pyspark.sql import functions as F

    from spark_jobs.clean_tweets import apply_rules, words_of
    from spark_jobs.vocabulary import distinct_tokens, map_words, stem_words

    seconds: dict[str, float] = {}
    with spark_session() as spark:
        raw = spark.read.format("delta").load(str(folder / "tweets_raw"))

        def measure(part: str, action: Callable[[], object]) -> None:
            clock = Clock()
            action()
            seconds[part] = clock.result(0)["cpu_seconds"]

        def drain(rows: "Callable[[], DataFrame]") -> Callable[[], object]:
            return lambda: rows().write.format("noop").mode("overwrite").save()

        measure("read", drain(lambda: raw))
        tokens = distinct_tokens(raw, "safe_text").persist()
        measure("distinct tokens", tokens.count)
        words = words_of(tokens).persist()
        measure("rules on distinct tokens -> words", words.count)
        stems = stem_words(words).persist()
        measure("Spark NLP on distinct words", stems.count)
        rules = apply_rules(raw).select(
            "tweet_id", "safe_text", "hashtags", "emoji", "clean_text", F.lower("clean_text").alias("stemmed_text"), "text_group"
        )
        measure("read and rules", drain(lambda: rules))
        stem_of: Mapping[str, str | None] = {"": None} | {row.word: row.stem for row in stems.collect()}
        mapped = map_words(spark.sparkContext.broadcast(stem_of), "stemmed_text")
        measure("read, rules and stems", drain(lambda: rules.mapInArrow(mapped, rules.schema)))
    return seconds


def run_polars(folder: Path) -> dict[str, float]:
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import clean_with_polars

    # The words that the job found: not part of what is measured.
    vocabulary = pl.read_parquet(DeltaTable(folder / "vocabulary").file_uris())
    clock = Clock()
    rows = clean_with_polars([Path(uri) for uri in DeltaTable(folder / "tweets_raw").file_uris()], vocabulary)
    rows.write_parquet(folder / "polars.parquet")
    return clock.result(rows.height)


def run_pandas_nltk(folder: Path) -> dict[str, float]:
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import clean_with_pandas

    vocabulary = pl.read_parquet(DeltaTable(folder / "vocabulary").file_uris())
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
    "profile": run_profile,
}


def run_contender(name: str, folder: Path) -> dict[str, float]:
    """Run one contender in a process of its own and return what it measured."""
    jars = ",".join(str(jar) for jar in sorted((REPOSITORY / ".jars/spark").glob("*.jar")))
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(find_java_home()),
        "POLARS_MAX_THREADS": str(CORES),
        "PYSPARK_SUBMIT_ARGS": f"--master local[{CORES}] --driver-memory 4g --jars {jars} --conf spark.ui.enabled=false "
        f"--conf spark.driver.host=127.0.0.1 --conf spark.local.dir={folder} pyspark-shell",
    }
    command = [sys.executable, "-m", "benchmarks.clean", "--contender", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows_that_differ(ours: "pl.DataFrame", theirs: "pl.DataFrame") -> int:
    """How many of `theirs` have no equal row in `ours`; both have RESULT_COLUMNS."""
    together = theirs.join(ours, on="tweet_id", how="left", suffix="_ours")
    columns = [name for name in theirs.columns if name != "tweet_id"]
    import polars as pl

    return together.filter(~pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_ours")) for name in columns)).height


def main() -> None:
    options = arg_parser().parse_args()
    if options.contender:
        print(json.dumps(CONTENDERS[options.contender](options.folder)))
        return
    import polars as pl
    from deltalake import DeltaTable

    from benchmarks.clean_rivals import RESULT_COLUMNS

    with tempfile.TemporaryDirectory(prefix="bench-clean-") as name:
        folder = Path(name)
        write_tweets(folder, options.tweets, options.seed)
        results = {contender: run_contender(contender, folder) for contender in CONTENDERS if contender != "profile"}
        ours = pl.read_parquet(DeltaTable(folder / "tweets_clean").file_uris(), columns=RESULT_COLUMNS)
        words = DeltaTable(folder / "vocabulary").to_pyarrow_table(columns=["word"]).num_rows
        print(f"{options.tweets:,} generated tweets, {words:,} distinct words, {CORES} cores, load {os.getloadavg()[0]:.1f}\n")
        print(
            "| contender | rows | s | rows/s | CPU µs/row | clean_tweets against it | by CPU | rows that differ |\n|---|---|---|---|---|---|---|---|"
        )
        job = results["clean_tweets"]
        for contender, result in results.items():
            theirs = folder / f"{contender}.parquet"
            differing = str(rows_that_differ(ours, pl.read_parquet(theirs))) if theirs.exists() else ""
            ratio, cpu_ratio = ((result[of] / result["rows"]) / (job[of] / job["rows"]) for of in ("seconds", "cpu_seconds"))
            aim = f" (aim: {AIMS[contender]:g} x)" if contender in AIMS else ""
            speed, cpu = result["rows"] / result["seconds"], result["cpu_seconds"] / result["rows"] * 1e6
            print(
                f"| {contender} | {result['rows']:,.0f} | {result['seconds']:.1f} | {speed:,.0f} | {cpu:.1f} "
                f"| {ratio:.2f} x{aim} | {cpu_ratio:.2f} x | {differing} |"
            )
        if options.profile:
            print("\n| part of clean_tweets, alone | CPU s |\n|---|---|")
            for part, seconds in run_contender("profile", folder).items():
                print(f"| {part} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
