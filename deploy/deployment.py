"""What tools need to know of a running platform, whichever deployment it is."""

from __future__ import annotations

from typing import Protocol


class Deployment(Protocol):
    """Addresses and logins, as the caller reaches them."""

    @property
    def hdfs(self) -> str:
        """Return the URI of the file system."""
        ...

    @property
    def secrets(self) -> dict[str, str]:
        """Return the generated keys, `airflow_password` among them."""
        ...

    def url(self, name: str) -> str:
        """Return the address of a service that speaks HTTP."""
        ...
