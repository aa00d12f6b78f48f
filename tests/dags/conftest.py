"""The DAGs as Airflow parses them."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import tests.dags.environment  # noqa: F401 (before Airflow is imported)


@pytest.fixture(scope="session")
def dag_bag() -> Iterator[object]:
    """Return all DAGs as Airflow parses them."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag()


@pytest.fixture
def dag_module(dag_bag) -> Callable[[str], ModuleType]:
    """Return a function that returns the module of a DAG file."""

    def find(dag_id: str) -> ModuleType:
        fileloc = dag_bag.dags[dag_id].fileloc
        return next(m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == fileloc)

    return find
