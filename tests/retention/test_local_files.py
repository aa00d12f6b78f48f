"""Old logs and the temporary folders of killed Spark drivers are deleted."""

import os
from pathlib import Path

from retention.local_files import OF_SPARK, delete_leftovers, delete_old_logs

OLD, CUTOFF, NEW = 1_000_000.0, 2_000_000.0, 3_000_000.0


def write(path, moment):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    for each in (path, path.parent):
        os.utime(each, (moment, moment))


def test_old_logs_are_deleted_with_their_folders(tmp_path):
    write(tmp_path / "dag_id=clean_tweets" / "run_id=old" / "attempt=1.log", OLD)
    write(tmp_path / "dag_id=clean_tweets" / "run_id=new" / "attempt=1.log", NEW)
    assert delete_old_logs(tmp_path, CUTOFF) == 5
    assert [path.name for path in (tmp_path / "dag_id=clean_tweets").iterdir()] == ["run_id=new"]


def test_folder_of_a_starting_task_stays(tmp_path):
    folder = tmp_path / "run_id=new"
    folder.mkdir()
    os.utime(folder, (NEW, NEW))
    delete_old_logs(tmp_path, CUTOFF)
    assert folder.exists()


def test_target_of_a_symlink_stays(tmp_path):
    outside = tmp_path / "outside" / "file"
    write(outside, OLD)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "latest").symlink_to(outside.parent)
    delete_old_logs(tmp_path / "logs", CUTOFF)
    assert outside.exists()


def test_leftovers_of_killed_drivers_are_deleted_and_running_ones_stay(tmp_path):
    write(tmp_path / "blockmgr-1" / "00" / "shuffle.data", OLD)
    write(tmp_path / "spark-2" / "old.part", OLD)
    write(tmp_path / "spark-2" / "new.part", NEW)
    write(tmp_path / "something-else" / "file", OLD)
    for name in ("blockmgr-1", "something-else"):
        os.utime(tmp_path / name, (OLD, OLD))
    assert delete_leftovers(tmp_path, OF_SPARK, CUTOFF) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["something-else", "spark-2"]


def test_folder_whose_files_a_running_job_deletes_stays(tmp_path, monkeypatch):
    write(tmp_path / "blockmgr-1" / "00" / "shuffle.data", OLD)
    write(tmp_path / "spark-2" / "old.part", OLD)
    for name in ("blockmgr-1", "spark-2"):
        os.utime(tmp_path / name, (OLD, OLD))
    lstat = Path.lstat

    def deleted_meanwhile(path):
        if path.name == "shuffle.data":
            raise FileNotFoundError(path)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", deleted_meanwhile)
    delete_leftovers(tmp_path, OF_SPARK, CUTOFF)
    assert [path.name for path in tmp_path.iterdir()] == ["blockmgr-1"]
