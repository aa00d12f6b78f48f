"""The embedded platform of the integration tests."""

from tests.integration.conftest import platform

__all__ = ["platform"]
