"""Unit tests of the Spark jobs stay on this machine: Spark talks to its Python over loopback, anything else is an error."""

import pytest
from pytest_socket import socket_allow_hosts


@pytest.fixture(autouse=True)
def only_loopback() -> None:
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)
