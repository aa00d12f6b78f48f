"""Spark jobs run on the bundled JDK. The other tests use the JDK of the machine, if it has one."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.installation.class_archive import spark_class_path
from deploy.installation.java import bundled_java_home

REPOSITORY = Path(__file__).parents[2]
JOB = """
import sys
from spark_jobs.session import open_session

spark = open_session("bundled JDK")
ids = spark.range(5)
ids.mapInArrow(lambda batches: batches, ids.schema).write.format("delta").save(sys.argv[1])
stem = "reflect('com.johnsnowlabs.nlp.annotators.EnglishStemmer', 'stem', 'vaccinations')"
rows = spark.read.format("delta").load(sys.argv[1]).selectExpr("id", stem + " AS stem").toPandas()
print("sum and stem:", rows["id"].sum(), rows["stem"].max())
"""


def test_arrow_batches_pass_between_the_bundled_java_and_python(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(JOB)
    environment = os.environ | {
        "JAVA_HOME": str(bundled_java_home()),
        "PYTHONPATH": str(REPOSITORY),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]"]
    submit += ["--driver-class-path", spark_class_path(), "--conf", "spark.ui.enabled=false"]
    done = subprocess.run(
        [*submit, str(job), str(tmp_path / "table")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "sum and stem: 10 vaccin\n" in done.stdout, done.stdout + done.stderr
