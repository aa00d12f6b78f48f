"""Back up a platform, delete its home, and restore it."""

import shutil
from pathlib import Path

import pytest

from contracts import hdfs_paths
from deploy.common import summary
from deploy.embedded import supervision
from deploy.embedded.services import SERVICES
from tests.integration.conftest import new_platform
from tests.integration.deliveries import connect_hdfs

DAGS_SECONDS = 120


@pytest.mark.timeout(1800)
def test_restored_platform_equals_the_one_that_was_backed_up(tmp_path_factory):
    with new_platform() as platform:
        platform.make("run", f"DUMP={platform.dump}")
        hdfs = connect_hdfs(platform.settings)
        settings, target = platform.settings, tmp_path_factory.mktemp("backups") / "monday"
        before = platform.rows(), summary.models(settings), summary.champion(settings)
        raw = sorted(hdfs.list(hdfs_paths.RAW))
        run = platform.api().last_run("clean_tweets")["dag_run_id"]
        platform.make("backup", f"TO={target}")
        assert set(supervision.running_services(settings)) == set(SERVICES)
        refused = platform.make("restore", f"FROM={target}", check=False)
        assert "which a restore does not overwrite" in refused.stderr
        supervision.stop(settings)
        for path in settings.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        platform.make("restore", f"FROM={target}")
        supervision.start(settings, lambda _: None)
        # The login and the tables are those of the backup.
        api = platform.api()
        api.wait_for_dags(DAGS_SECONDS)
        assert api.run("clean_tweets", run)["state"] == "success"
        assert (platform.rows(), summary.models(settings), summary.champion(settings)) == before
        assert sorted(hdfs.list(hdfs_paths.RAW)) == raw
        client = summary.mlflow_client(settings)
        champion = before[1][0]["run_id"]
        folder = tmp_path_factory.mktemp("artifacts")
        assert (
            Path(client.download_artifacts(champion, "eval_predictions.parquet", str(folder))).stat().st_size
        )
        assert (settings.home / "run" / "secrets.json").stat().st_mode & 0o777 == 0o600
