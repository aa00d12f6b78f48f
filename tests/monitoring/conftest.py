"""A local HTTP server, and a platform that answers through it."""

import pytest

from tests.monitoring.platform import Platform, Server


@pytest.fixture
def server():
    opened = Server()
    yield opened
    opened.close()


@pytest.fixture
def platform(server):
    return Platform(server)
