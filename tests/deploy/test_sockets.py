"""Unit tests cannot open sockets."""

import socket

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError


def test_sockets_are_blocked():
    with pytest.raises(SocketBlockedError):
        socket.socket()


@pytest.mark.allow_hosts(["127.0.0.1", "::1"])
def test_allowed_loopback_does_not_allow_other_hosts():
    with socket.socket() as connection, pytest.raises(SocketConnectBlockedError):
        connection.connect(("192.0.2.1", 80))  # an address for documentation, RFC 5737
