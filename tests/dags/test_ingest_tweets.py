"""What one run of the ingestion takes in, and in what order."""

import hashlib
import os
import sys

import pytest
from deltalake import write_deltalake
from pyarrow import table

from tests.plugins.memory_hdfs import MemoryHdfs

A, B, C = (hashlib.sha256(content).hexdigest() for content in (b"a", b"b", b"c"))


@pytest.fixture
def ingest(dag_bag):
    """The DAG file's module, as Airflow imported it."""
    dag = dag_bag.dags["ingest_tweets"]
    return next(module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == dag.fileloc)


@pytest.fixture
def landing(tmp_path):
    """A landing folder on this machine with one dump that was written a minute ago."""
    (tmp_path / "c.csv").write_bytes(b"c")
    os.utime(tmp_path / "c.csv", (0, 0))
    return tmp_path


def test_named_dump_is_taken_alone(ingest, landing):
    hdfs = MemoryHdfs()
    hdfs.put("/vaxpulse/landing/a.csv", b"a")
    assert ingest.collect(str(landing / "c.csv"), hdfs, landing) == {C: str(landing / "c.csv")}
    assert "/vaxpulse/landing/a.csv" in hdfs.files


def test_without_a_name_all_landed_dumps_are_taken(ingest, landing):
    hdfs = MemoryHdfs()
    hdfs.put("/vaxpulse/landing/b.csv", b"b", seconds_ago=60)
    # claimed by the watcher, whose event was lost or has started this run
    hdfs.put(f"/vaxpulse/claimed/{A}~a.csv", b"a", seconds_ago=90)
    assert ingest.collect(None, hdfs, landing) == {A: "a.csv", B: "b.csv", C: str(landing / "c.csv")}
    assert sorted(hdfs.files) == sorted(f"/vaxpulse/raw/{sha256}.csv" for sha256 in (A, B, C))


def test_nothing_landed_is_nothing_to_do(ingest, tmp_path):
    assert ingest.collect(None, MemoryHdfs(), tmp_path) == {}


def test_dump_counts_as_loaded_only_when_dumps_has_its_row(ingest, tmp_path):
    uri = str(tmp_path / "dumps")
    # no table yet: nothing was ever loaded
    assert ingest.loaded_hashes(uri) == set()
    write_deltalake(uri, table({"dump_sha256": [A]}))
    assert ingest.loaded_hashes(uri) == {A}
