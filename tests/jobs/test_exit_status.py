"""spark-submit returns the exit status of a job's Python process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.exit_status import BAD_INPUT
from deploy.installation.class_archive import spark_class_path
from deploy.installation.java import find_java_home

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("job", "arguments", "reason"),
    [
        (
            "maintain_tables",
            ["--tables=a", "--tweets-raw=a", "--retention-hours=24"],
            "retention of 24 hours is too short",
        ),
        (
            "clean_tweets",
            ["--tweets-raw={folder}/raw", "--tweets-clean={folder}/clean"],
            "ingest a dump first",
        ),
    ],
)
def test_wrong_input_of_a_job_is_status_65(
    tmp_path: Path, job: str, arguments: list[str], reason: str
) -> None:
    environment = os.environ | {
        "JAVA_HOME": str(find_java_home()),
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]"]
    submit += ["--driver-class-path", spark_class_path(), "--conf", "spark.ui.enabled=false"]
    submit += [f"{REPOSITORY}/spark_jobs/{job}.py", *(each.format(folder=tmp_path) for each in arguments)]
    done = subprocess.run(
        submit, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    output = done.stdout + done.stderr  # spark-submit merges the streams of Python into stdout
    assert (done.returncode, reason in output) == (BAD_INPUT, True), output
