"""A platform with faults: Airflow's REST API, health pages and tables, without services."""

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from monitoring.health import AIRFLOW_PARTS, Watched

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PAGES = "http://airflow.example.org"


def moment(**ago):
    return NOW - timedelta(**ago)


class Server:
    """An HTTP server on loopback. `answers`: status and body by path; `requests`: bodies of POSTs."""

    def __init__(self):
        self.answers, self.requests = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                status, body = outer.answers.get(self.path, (404, {}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def do_GET(self):
                self.answer()

            def do_POST(self):
                outer.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer()

            def log_message(self, *_):
                """Print nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Platform:
    """A healthy platform. Tests add faults to its attributes."""

    def __init__(self, server):
        self.server = server
        self.runs, self.waiting, self.dumps, self.drift, self.tasks = [], [], [], [], {}
        self.metrics = []
        self.airflow_parts = dict.fromkeys(AIRFLOW_PARTS, "healthy")
        self.namenode = {"FSState": "Operational", "NumLiveDataNodes": 2, "NumDeadDataNodes": 0}
        self.datanodes = {"datanode-1:9866": {"capacity": 100, "remaining": 50}}
        self.mlflow = 200
        self.watched = Watched(server.url, server.url, {"MLflow": f"{server.url}/mlflow"}, ())

    def update(self):
        """Let the server answer with the current state."""
        name = "/jmx?qry=Hadoop:service=NameNode,name="
        parts = {part: {"status": status} for part, status in self.airflow_parts.items()}
        self.server.answers |= {
            "/api/v2/monitor/health": (200, parts),
            f"{name}FSNamesystemState": (200, {"beans": [self.namenode]}),
            f"{name}NameNodeInfo": (200, {"beans": [{"LiveNodes": json.dumps(self.datanodes)}]}),
            "/mlflow": (self.mlflow, {}),
        }

    def airflow(self, path, query):
        """Answer as Airflow's REST API."""
        if path == "/api/v2/dags":
            dag_ids = sorted({run["dag_id"] for run in self.runs})
            return {"dags": [{"dag_id": dag_id} for dag_id in dag_ids]}
        if path.endswith("/hitlDetails"):
            return {"hitl_details": self.waiting}
        if path.endswith("/taskInstances"):
            return {"task_instances": self.tasks[path.split("/")[-2]]}
        found = [run for run in self.runs if run["dag_id"] == path.split("/")[4]]
        if "state" in query:
            found = [run for run in found if run["state"] in query["state"]]
        if "end_date_gte" in query:  # Airflow takes the current time for a run without an end
            found = [run for run in found if (run["end_date"] or "9") >= query["end_date_gte"]]
        found.sort(key=lambda run: run["end_date"] or "9", reverse=query["order_by"].startswith("-"))
        start = query.get("offset", 0)
        return {"dag_runs": found[start : start + query["limit"]]}

    def query(self, table, sql):
        """Return the rows of a table; of `dumps` those whose state is in the condition.

        Other conditions are applied by the tests with Delta tables.
        """
        if table.name == "dumps":
            states = re.findall(r"'(\w+)'", sql)
            return [dump for dump in self.dumps if dump["state"] in states or not states]
        return {"drift": self.drift, "pipeline_metrics": self.metrics}[table.name]

    def add_run(self, dag_id, run_id, state, ended):
        run = {"dag_id": dag_id, "dag_run_id": run_id, "state": state, "end_date": ended.isoformat()}
        self.runs.append(run)
        return run


def loaded_dump(sha256="b" * 64):
    return {"dump_sha256": sha256, "state": "loaded"}


def failed_dump(source="june.csv", state="held", sha256="a" * 64):
    return {
        "dump_sha256": sha256,
        "source": source,
        "state": state,
        "reason": "the ids are ambiguous",
        "ingested_at": moment(hours=1),
        "run_id": "asset_triggered__1",
    }


def waiting_task(created):
    task = {"dag_id": "review_dump", "dag_run_id": "held__1", "task_id": "decide", "map_index": -1}
    return {"task_instance": task | {"state": "deferred"}, "created_at": created.isoformat()}


def drifted_dump(version="3", measured=None, sha256="b" * 64):
    return {
        "dump_sha256": sha256,
        "model_name": "vaxpulse",
        "model_version": version,
        "breaches": ["label_psi"],
        "measured_at": measured or moment(hours=2),
    }
