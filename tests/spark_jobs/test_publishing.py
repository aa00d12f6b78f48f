"""The report job logs in to MLflow."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from spark_jobs.storage.publishing import log_to_mlflow


@pytest.fixture
def server():
    """The address of an MLflow that lets nobody in, and the logins that it was shown."""
    logins = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            logins.append(self.headers["Authorization"])
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b"You are not authenticated")

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", logins
        listening.shutdown()


def test_login_of_the_environment_is_shown_to_mlflow_and_a_refusal_ends_the_job(server, monkeypatch):
    import mlflow
    from mlflow.exceptions import MlflowException

    address, logins = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(
        address
    )  # an address that another test has set this way would count more than the environment
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reports")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(MlflowException, match="You are not authenticated") as refused:
        log_to_mlflow("a report", {}, {}, {}, {})
    assert set(logins) == {"Basic " + base64.b64encode(b"reports:a secret").decode()}
    assert "a secret" not in str(refused.value)
