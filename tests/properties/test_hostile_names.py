"""A thousand hostile file names: each file is delivered, listed and loaded, or its name says unfinished."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow.fs import FileType

from contracts.delivered_names import show_source
from contracts.hdfs_paths import DELIVERED, LANDING
from loading.files import DumpFiles
from tests.hostile_names import hostile_names
from tests.plugins.memory_hdfs import MemoryHdfs
from tests.properties.loading_model import Store
from vaxpulse_airflow.landing import deliver_landed
from vaxpulse_airflow.local_landing import deliver_landed_locally
from vaxpulse_airflow.names import is_finished

NAMES = hostile_names(1000)
# Loading takes longer than delivering. `make fuzz` loads more.
LOADED_NAMES = int(os.environ.get("VAXPULSE_HOSTILE_NAMES", "20"))


def is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def finished(names: list[str]) -> list[str]:
    return [name for name in names if is_finished(name)]


class Listing:
    """Lists a folder of MemoryHdfs as deltalake does, which refuses the whole folder for one such name."""

    def __init__(self, hdfs: MemoryHdfs) -> None:
        self.hdfs = hdfs

    def get_file_info(self, selector: object) -> Iterator[SimpleNamespace]:
        for path in self.hdfs.files:
            name = path.removeprefix(f"{DELIVERED}/")
            if any(ord(c) < 32 or 126 < ord(c) < 160 for c in name):
                raise OSError(f"Encountered illegal character sequence whilst parsing path segment {name!r}")
            yield SimpleNamespace(
                type=FileType.File, base_name=name, path=path, mtime=datetime(2026, 11, 24, tzinfo=UTC)
            )


def listed_sources(hdfs: MemoryHdfs, folder: Path) -> list[str]:
    files = DumpFiles(str(folder), str(folder))
    files._files = Listing(hdfs)
    return sorted(delivery.source for delivery in files.deliveries())


def test_names_are_hostile() -> None:
    assert len(NAMES) == 1000
    assert sum(len(os.fsencode(name)) == 255 for name in NAMES) > 30
    assert 800 < len(finished(NAMES)) < 1000


def test_every_file_of_the_landing_folder_in_hdfs_is_delivered_and_listed(tmp_path: Path) -> None:
    hdfs, names = MemoryHdfs(), [name for name in NAMES if is_utf8(name)]  # HDFS has no other names
    assert len(names) > 700
    for name in names:
        hdfs.put(f"{LANDING}/{name}", name.encode())
    assert deliver_landed(hdfs).problems == []
    expected = sorted(map(show_source, finished(names)))
    left = [path.removeprefix(f"{LANDING}/") for path in hdfs.files if path.startswith(LANDING)]
    assert sorted(left) == sorted(set(names) - set(finished(names)))
    for name in left:
        hdfs.delete(f"{LANDING}/{name}")
    assert listed_sources(hdfs, tmp_path) == expected


def test_every_file_of_the_local_landing_folder_is_delivered_and_listed(tmp_path: Path) -> None:
    hdfs = MemoryHdfs()
    for name in NAMES:
        (tmp_path / name).write_bytes(os.fsencode(name))
        os.utime(tmp_path / name, (time.time() - 60,) * 2)
    sources, problems = deliver_landed_locally(hdfs, tmp_path)
    assert problems == []
    assert sorted(sources) == listed_sources(hdfs, tmp_path) == sorted(map(show_source, finished(NAMES)))
    assert sorted(hdfs.files.values()) == sorted(os.fsencode(name) for name in finished(NAMES))


def test_files_that_another_program_puts_into_delivered_do_not_stop_the_others(tmp_path: Path) -> None:
    hdfs, names = MemoryHdfs(), [name for name in NAMES if is_utf8(name)]
    for name in names:
        hdfs.put(f"{DELIVERED}/{name}", name.encode())
    hdfs.put(f"{LANDING}/good.csv", b"good")
    for _ in range(2):
        assert deliver_landed(hdfs).problems == []
    assert {"good.csv", *map(show_source, finished(names))} <= set(listed_sources(hdfs, tmp_path))


@pytest.mark.timeout(3600)
def test_every_delivered_file_is_loaded(tmp_path: Path) -> None:
    hdfs, landing = MemoryHdfs(), tmp_path / "landing"
    landing.mkdir()
    names = [name for name in finished(NAMES) if len(os.fsencode(name)) < 70][:LOADED_NAMES]
    for number, name in enumerate(names):
        (landing / name).write_bytes(
            b"tweet_id,safe_text,label,agreement\nT%d,a text of a tweet,1,1\n" % number
        )
        os.utime(landing / name, (time.time() - 60,) * 2)
    assert deliver_landed_locally(hdfs, landing).problems == []
    store = Store(tmp_path / "store")
    for path, content in hdfs.files.items():
        (tmp_path / "store" / "delivered" / path.removeprefix(f"{DELIVERED}/")).write_bytes(content)
    rows = store.load(thresholds=None)
    assert {row["state"] for row in rows} == {"loaded"}
    assert sorted(row["source"] for row in rows) == sorted(map(show_source, names))
    assert len(store.log()) == len(names)
