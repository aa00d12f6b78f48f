"""Folders in HDFS that apply_retention deletes."""

import os
import time
from types import SimpleNamespace

from contracts.hdfs_paths import UPLOADS
from tests.plugins.folder_hdfs import FolderHdfs

DAY_SECONDS = 86_400


def test_uploads_are_deleted_after_their_period(dag_bag, monkeypatch, tmp_path):
    hdfs, uploads = FolderHdfs(tmp_path), tmp_path / UPLOADS.lstrip("/")
    for name, days in (("old", 8), ("new", 6)):
        (uploads / name).mkdir(parents=True)
        os.utime(uploads / name, (time.time() - days * DAY_SECONDS,) * 2)
    dag = dag_bag.dags["apply_retention"]
    delete = dag.get_task("hdfs_folders").python_callable
    context = {"params": {name: param.value for name, param in dag.params.items()}}
    monkeypatch.setitem(delete.__globals__, "get_current_context", lambda: context)
    monkeypatch.setattr(
        "vaxpulse_airflow.webhdfs.TimedWebHDFSHook", lambda: SimpleNamespace(get_conn=lambda: hdfs)
    )
    delete({"champion": None, "champion_dag_run": None})
    assert [folder.name for folder in uploads.iterdir()] == ["new"]
