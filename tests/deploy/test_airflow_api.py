"""The client of Airflow's REST API against a small HTTP server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from deploy.common.airflow_api import AirflowApi
from deploy.embedded.settings import DEFAULT_PORTS, Settings

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Server(ThreadingHTTPServer):
    """Accepts every login. Answers the next reads with `statuses`, later ones with 200."""

    statuses: list[int]
    reads: int


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.answer(201, b'{"access_token": "token"}')

    def do_GET(self) -> None:
        self.server.reads += 1
        self.answer(self.server.statuses.pop(0) if self.server.statuses else 200, b'{"state": "running"}')

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        found.statuses, found.reads = [], 0
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def api(server, tmp_path, monkeypatch) -> AirflowApi:
    monkeypatch.setattr(Settings, "url", lambda *_: f"http://127.0.0.1:{server.server_port}")
    return AirflowApi(Settings(tmp_path, DEFAULT_PORTS))


def test_a_read_that_fails_for_a_moment_is_repeated_by_commands_that_follow_a_run(server, api) -> None:
    server.statuses = [500, 503]
    with pytest.raises(requests.HTTPError, match="Airflow answered 500 to GET /run"):
        api.call("GET", "/run")
    api.repeat_reads()
    server.statuses = [500, 503]
    assert api.call("GET", "/run") == {"state": "running"}
    assert server.reads == 4


def test_an_answer_that_is_no_outage_is_an_error_at_once(server, api) -> None:
    api.repeat_reads()
    server.statuses = [404]
    with pytest.raises(requests.HTTPError, match="404"):
        api.call("GET", "/run")
    assert server.reads == 1
