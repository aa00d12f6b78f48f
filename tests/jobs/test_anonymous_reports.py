"""No report, download or MLflow artifact contains the user names or links of a dump."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from contracts.labels import LABELS
from contracts.tables import TWEETS_RAW
from reporting.page import render
from spark_jobs import explore_tweets, score_tweets
from spark_jobs.clean_tweets import clean
from spark_jobs.cleaning.current_tweets import CURRENT_TWEET
from spark_jobs.scoring.insights.page import Places
from spark_jobs.storage.publishing import report_files
from spark_jobs.storage.schemas import TWEETS_SCORED_SCHEMA, spark_schema
from tests.spark_jobs.scorable_models import model_with

CANARY = "canary_name_42"
CURRENT_SCHEMA = StructType([spark_schema(TWEETS_RAW)[name] for name in CURRENT_TWEET])
FIRST = datetime(2021, 1, 1, tzinfo=UTC)


# User names and links as dumps contain them: in other scripts, glued to words, and in damaged encodings.
FORMS = (
    f"@{CANARY}: {{}} https://t.co/{CANARY} .@{CANARY}",
    f"RT @{CANARY} {{}} (via ＠{CANARY})",
    f"{{}}!@{CANARY}'s friend http://example.org/{CANARY}?a=@{CANARY}",
    f"donâ€™t, &#64;{CANARY}! {{}} www.example.org/{CANARY}",
    f"{{}}\\n@{CANARY}\\u0020and @@{CANARY}",
)


def tweet(number: int) -> dict[str, object]:
    """Return a current row of tweets_raw whose text contains CANARY. Copies and labels differ."""
    return {
        "tweet_id": f"A{number}",
        "safe_text": FORMS[number % len(FORMS)].format(f"vaccines work {number % 10} #flu 💉"),
        "label": float(LABELS[number % 3]),
        "agreement": 1.0,
        "created_at": FIRST + timedelta(days=number),
        "lang": "en",
        "dump_sha256": f"d{number % 2}",
    }


def score(number: int) -> dict[str, object]:
    """Return a row of tweets_scored."""
    return {
        "tweet_id": f"A{number}",
        **dict(zip(("p_negative", "p_neutral", "p_positive"), (0.2, 0.3, 0.5), strict=True)),
        "label": LABELS[number % 3],
        "score": 0.3,
        "model_name": "tiny",
        "model_version": "1",
        "scored_at": FIRST,
    }


@pytest.fixture
def places(spark: SparkSession, tmp_path: Path) -> Places:
    raw = [tuple(tweet(number)[column] for column in CURRENT_TWEET) for number in range(600)]
    scores = [tuple(score(number)[column] for column in TWEETS_SCORED_SCHEMA.names) for number in range(600)]
    for name, rows in (
        ("tweets_clean", clean(spark.createDataFrame(raw, CURRENT_SCHEMA))),
        ("tweets_scored", spark.createDataFrame(scores, TWEETS_SCORED_SCHEMA)),
    ):
        rows.write.format("delta").save(str(tmp_path / name))
    names = ("tweets_clean", "tweets_scored", "dumps", "drift")
    return Places(**{name: str(tmp_path / name) for name in names}, report=str(tmp_path / "report"))


def readable(name: str, content: bytes) -> Iterator[str]:
    """Yield the text of a file, and of the pictures in a page."""
    if name.endswith(".parquet"):
        yield str(pq.read_table(name).to_pylist())
        return
    text = content.decode(errors="replace")
    yield text
    for encoded in re.findall(r"base64,([A-Za-z0-9+/=]+)", text):
        yield base64.b64decode(encoded).decode(errors="replace")


def assert_no_canary(name: str, content: bytes) -> None:
    assert all(CANARY not in text for text in readable(name, content)), name


def test_insight_report_and_its_copies_have_no_user_names(
    spark: SparkSession, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    summary = score_tweets.report(spark, places, model_with(table_version=0), "run", 0)
    artifacts = Path(mlflow.artifacts.download_artifacts(run_id=str(summary["mlflow_run"])))
    report = Path(places.report)
    files = [path for folder in (report, artifacts) for path in folder.rglob("*") if path.is_file()]
    assert {"report.html", "figures.json", "submission-d0.csv", "scores-d1.parquet"} <= {
        path.name for path in files
    }
    for path in files:
        assert_no_canary(str(path), path.read_bytes())
    page = (report / "report.html").read_text()
    assert "&lt;user&gt;: vaccines work 5 #flu 💉 &lt;url&gt; .&lt;user&gt;" in page
    assert "month of the tweets&#39; dates" in page
    assert page == (artifacts / "report.html").read_text()


def test_exploration_report_has_no_user_names(spark: SparkSession, places: Places) -> None:
    sections, _ = explore_tweets.explore(spark, places.tweets_clean, [0])
    files = report_files(render("a heading", {}, sections), sections)
    for name, content in files.items():
        assert_no_canary(name, content)
    assert "&lt;user&gt;: vaccines work 5 #flu 💉 &lt;url&gt;".encode() in files["report.html"]
