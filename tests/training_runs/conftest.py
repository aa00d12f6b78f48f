"""Whole trainings of tiny models, each in its own process or with its export: slower than a unit test may be."""

from tests.training.conftest import (
    checkpoint_of,
    environment_as_found,
    mlflow_store,
    one_thread,
    tiny_bert,
    tweets_table,
)  # noqa: F401
