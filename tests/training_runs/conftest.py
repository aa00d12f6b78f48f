"""Complete trainings of tiny models, which are too slow for unit tests."""

from tests.training.conftest import (  # noqa: F401 (fixtures)
    checkpoint_of,
    isolated_environment,
    mlflow_store,
    one_thread,
    tiny_bert,
    tweets_table,
)
