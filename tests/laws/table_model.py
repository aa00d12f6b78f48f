"""Dumps loaded by Spark into tables in a folder, to be compared with a dict."""

import hashlib
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_jobs import load_dump
from spark_jobs.load_dump import Summary


class SparkTables:
    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def arguments(self, dump: Path) -> list[str]:
        """The command line that loads `dump`."""
        places = {option: str(self.folder / option) for option in ("tweets-raw", "quarantine", "dumps")}
        return ["--dump", str(dump), "--source", "test", "--run-id", "run", *(word for k, v in places.items() for word in (f"--{k}", v))]

    def write(self, content: bytes) -> Path:
        dump = self.folder / f"{hashlib.sha256(content).hexdigest()}.csv"
        dump.write_bytes(content)
        return dump

    def load(self, content: bytes) -> Summary:
        return load_dump.load(self.spark, load_dump.arg_parser().parse_args(self.arguments(self.write(content))))

    def read(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.folder / name))

    def tweets(self) -> dict[str, tuple[str, float | None, float | None, str]]:
        """What `table_model` of the reference holds: {id: (text, label, agreement, hash of the dump)}."""
        rows = self.read("tweets-raw").collect()
        assert len({row.tweet_id for row in rows}) == len(rows)
        return {row.tweet_id: (row.safe_text, row.label, row.agreement, row.dump_sha256) for row in rows}

    def quarantine(self, sha256: str) -> dict[int, tuple[str, str]]:
        rows = self.read("quarantine").where(f"dump_sha256 = '{sha256}'").collect()
        assert len({row.row_number for row in rows}) == len(rows)
        return {row.row_number: (row.raw_record, row.reason) for row in rows}

    def snapshot(self) -> dict[str, list[tuple]]:
        """All rows of all tables, without the time at which they were written."""
        return {name: sorted(map(tuple, self.read(name).drop("ingested_at").collect())) for name in ("tweets-raw", "quarantine", "dumps")}
