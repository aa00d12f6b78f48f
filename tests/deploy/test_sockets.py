"""No unit test reaches anything outside its process."""

import socket

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError


def test_a_test_has_no_socket():
    with pytest.raises(SocketBlockedError):
        socket.socket()


@pytest.mark.allow_hosts(["127.0.0.1", "::1"])
def test_a_test_that_may_use_loopback_reaches_nothing_else():
    with socket.socket() as connection, pytest.raises(SocketConnectBlockedError):
        connection.connect(("192.0.2.1", 80))  # an address for documentation, RFC 5737
