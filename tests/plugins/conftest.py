"""The environment of Airflow, before the plugins are imported."""

import tests.dags.environment  # noqa: F401
