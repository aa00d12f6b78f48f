"""docs/pipeline.svg shows the DAGs and Assets of the DAG files. `make docs` writes it."""

import os
from pathlib import Path

import pytest

from docs.draw_pipeline import draw, find_edges

PICTURE = Path(__file__).parents[2] / "docs" / "pipeline.svg"


def test_picture_is_up_to_date(dag_bag):
    if os.environ.get("REBUILD_GOLDEN"):
        PICTURE.write_text(draw(dag_bag.dags))
        pytest.skip("REBUILD_GOLDEN is set: the picture was written")
    assert PICTURE.read_text() == draw(dag_bag.dags)


def test_edges_come_from_schedules_outlets_and_started_dags(dag_bag):
    assert set(find_edges(dag_bag.dags["ingest_tweets"])) == {
        ("landed_dumps", "ingest_tweets", "starts"),
        ("ingest_tweets", "tweets_raw", "changes"),
        ("ingest_tweets", "review_dump", "starts"),
    }


def test_history_of_an_asset_that_the_dag_changes_is_not_an_edge(dag_bag):
    assert ("drift", "score_tweets", "is read by") not in set(find_edges(dag_bag.dags["score_tweets"]))
