"""Files on a Hadoop file system, here the local one."""

from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_jobs.storage import hadoop_files


def test_written_file_replaces_an_older_one(spark: SparkSession, tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        hadoop_files.write_file(spark, f"{tmp_path}/report.html", content)
    assert (tmp_path / "report.html").read_bytes() == b"new"
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".crc")} == {"report.html"}


def test_target_survives_a_rename_that_fails(spark: SparkSession, tmp_path: Path) -> None:
    # A delete before the rename leaves no file if the job dies in between.
    target = tmp_path / "report.html"
    target.write_text("old")
    with pytest.raises(Py4JJavaError, match="FileNotFoundException"):
        hadoop_files.rename_overwriting(spark, f"{tmp_path}/missing", str(target))
    assert target.read_text() == "old"


def test_folder_is_copied_and_found(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/metadata.json").write_text("{}")
    hadoop_files.copy_from_local(spark, tmp_path / "model", f"{tmp_path}/copy")
    assert hadoop_files.glob(spark, f"{tmp_path}/copy/*.json") == [f"file:{tmp_path}/copy/metadata.json"]
    assert hadoop_files.read_text(spark, f"{tmp_path}/copy/metadata.json") == "{}"
    hadoop_files.copy_to_local(spark, f"{tmp_path}/copy/metadata.json", tmp_path / "local.json")
    assert (tmp_path / "local.json").read_text() == "{}"
    hadoop_files.delete(spark, f"{tmp_path}/copy")
    assert not hadoop_files.exists(spark, f"{tmp_path}/copy")
