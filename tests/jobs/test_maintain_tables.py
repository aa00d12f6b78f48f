"""Small files are merged, old ones go after the retention, and no row changes."""

import pytest
from delta.tables import DeltaTable

from spark_jobs.maintain_tables import arg_parser, count_files, maintain


@pytest.fixture
def table_of_many_files(spark, tmp_path):
    """A table to which one row was appended six times."""
    uri = str(tmp_path / "table with a space")
    for number in range(6):
        spark.range(number, number + 1).coalesce(1).write.format("delta").mode("append").save(uri)
    return uri


def test_small_files_become_one_and_the_rows_stay(spark, table_of_many_files):
    counts = maintain(spark, table_of_many_files, 168)
    assert (counts["before"]["files"], counts["before"]["small_files"]) == (6, 6)
    assert (counts["after"]["files"], counts["after"]["small_files"]) == (1, 1)
    assert sorted(row.id for row in spark.read.format("delta").load(table_of_many_files).collect()) == [0, 1, 2, 3, 4, 5]


def test_versions_within_the_retention_stay_readable(spark, table_of_many_files):
    maintain(spark, table_of_many_files, 168)
    assert spark.read.format("delta").option("versionAsOf", 2).load(table_of_many_files).count() == 3


def test_table_of_one_file_is_not_rewritten(spark, table_of_many_files):
    maintain(spark, table_of_many_files, 168)
    version = DeltaTable.forPath(spark, table_of_many_files).history(1).head().version
    maintain(spark, table_of_many_files, 168)
    operations = [row.operation for row in DeltaTable.forPath(spark, table_of_many_files).history().where(f"version > {version}").collect()]
    assert "OPTIMIZE" not in operations
    assert count_files(spark, table_of_many_files).files == 1


def test_retention_below_a_week_is_refused(capsys):
    with pytest.raises(SystemExit):
        arg_parser().parse_args(["--tables", "a", "--retention-hours", "24"])
    assert "at least 168" in capsys.readouterr().err
