"""Check the ports of the services before a start."""

import socket

import psutil

from deploy.common.errors import CommandError
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import HOST, Settings, port_variable, saved_ports


def check_ports_are_free(settings: Settings) -> None:
    """Raise CommandError if another program uses a port."""
    for service in SERVICES.values():
        for name in service.ports:
            port = settings.ports[name]
            if not is_free(port):
                raise CommandError(
                    f"port {port} ({service.title}) is in use{user_of(port)}: end that program, "
                    f"or choose another port with `{port_variable(name)}={port + 1} make run`"
                )


def check_ports_are_unchanged(settings: Settings) -> None:
    """Raise CommandError if the running services have other ports than the settings."""
    for name, port in saved_ports(settings.home).items():
        if port != settings.ports[name]:
            raise CommandError(
                f"the platform runs with {port_variable(name)}={port}, not {settings.ports[name]}: "
                "`make stop` first, a running service cannot change its port"
            )


def user_of(port: int) -> str:
    """Return ' by NAME (process N)' for a listening port, or '' without the permission to see the process."""
    try:
        listening = [
            connection
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        ]
        process = psutil.Process(listening[0].pid)
        return f" by {process.name()} (process {process.pid})"
    except (psutil.Error, IndexError, TypeError):
        return ""


def is_free(port: int) -> bool:
    """Return whether a service can listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore connections in TIME_WAIT
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
