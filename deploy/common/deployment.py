"""Interface of a running platform. Both deployments implement it."""

from typing import Protocol

WATCHER = "watch"  # user of the DAG watch_platform in Airflow, with the role Viewer
ADMIN = "admin"  # user name in Airflow, and in MLflow where it requires a login


class Deployment(Protocol):
    """Addresses and credentials of a platform, as seen by the caller."""

    @property
    def hdfs(self) -> str:
        """Return the URI of the file system."""
        ...

    @property
    def secrets(self) -> dict[str, str]:
        """Return the generated secrets, including `airflow_password`."""
        ...

    def url(self, name: str) -> str:
        """Return the URL of a service."""
        ...
