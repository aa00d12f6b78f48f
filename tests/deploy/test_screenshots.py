"""Screenshots show generated tweets only. tests/integration takes them in a browser."""

import csv

import pytest

from deploy.common.errors import CommandError
from docs import take_screenshots


def platform_with(monkeypatch, *dumps):
    rows = [{"dump_sha256": sha256, "source": source} for sha256, source in dumps]
    monkeypatch.setattr(take_screenshots.summary, "query_table", lambda *_: rows)


def test_platform_with_generated_dumps_is_accepted(monkeypatch):
    platform_with(monkeypatch, ("a" * 64, "sample-2000.csv"))
    assert take_screenshots.check_dumps(None, {"a" * 64, "b" * 64}) == {"a" * 64}


def test_platform_with_another_dump_is_refused(monkeypatch):
    # The name is that of a generated dump, the content is not.
    platform_with(monkeypatch, ("a" * 64, "sample-2000.csv"), ("c" * 64, "sample-2000.csv"))
    with pytest.raises(CommandError, match=r"has the dump 'sample-2000.csv', which is not generated"):
        take_screenshots.check_dumps(None, {"a" * 64, "b" * 64})


def test_platform_without_dumps_is_refused(monkeypatch):
    platform_with(monkeypatch)
    with pytest.raises(CommandError, match="run `make run` without DUMP first"):
        take_screenshots.check_dumps(None, {"a" * 64})


def test_dated_dump_is_always_the_same(tmp_path):
    # Otherwise it would be loaded again, or be refused as a foreign dump.
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        take_screenshots.write_dated_dump(file)
    assert len(set(map(take_screenshots.hash_file, files))) == 1
    with files[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["tweet_id"] for row in rows}) == len(rows) == take_screenshots.DATED_TWEETS
    assert (rows[0]["created_at"][:7], rows[-1]["created_at"][:7]) == ("2026-01", "2026-07")
