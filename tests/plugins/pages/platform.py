"""Tables of a platform, a user, and an auth manager with chosen permissions."""

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
from deltalake import write_deltalake

from contracts.tables import DUMPS, QUARANTINE
from loading.tables.schemas import arrow_schema
from tests.plugins.memory_hdfs import MemoryHdfs
from vaxpulse_airflow.pages.data.airflow_client import ApiError
from vaxpulse_airflow.pages.data.mlflow_client import MlflowError
from vaxpulse_airflow.pages.data.tables import Tables

MORNING = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    '=HYPERLINK("http://evil.example","click")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\u202egpj.exe \u2066hidden\u2069",
    "{{ 7*7 }} {% raw %}",
    "@ann_smith https://example.org/private",
    "line\r\nbreak\x00\x1b[2J",
    "x" * 10_000,
)


class User:
    """A user of Airflow."""

    def __init__(self, name):
        self.name = name

    def get_id(self):
        return self.name

    def get_name(self):
        return self.name


class AuthManager:
    """Permits every user to read all DAGs but `hidden`, and to change the DAGs in `changeable`."""

    def __init__(self):
        self.hidden, self.changeable = set(), set()

    def is_authorized_dag(self, *, method, access_entity, details, user):
        if method == "GET":
            return details.id not in self.hidden
        return details.id in self.changeable


class Airflow:
    """Airflow's REST API with chosen answers. `sent` are the changes that it has received."""

    def __init__(self):
        self.runs, self.tasks, self.waiting, self.sent, self.error = [], [], [], [], None
        self.watched = {"problems": [], "unchecked": None}

    def get(self, path, query):
        self._check()
        if path.endswith("/taskInstances"):
            return {"task_instances": self.tasks}
        if path.endswith("/hitlDetails"):
            return {"hitl_details": self.waiting}
        if "/xcomEntries/" in path:
            return {"value": self.watched}
        dag_id = path.split("/")[4]
        return {
            "dag_runs": [
                run
                for run in self.runs
                if dag_id in ("~", run["dag_id"])
                and run["state"] in query.get("state", run["state"])
                and query.get("run_id_pattern", "") in run["dag_run_id"]
            ]
        }

    def post(self, path, body):
        self._check()
        self.sent.append((path, body))
        return {"dag_run_id": "manual__2026-11-24T08:30:00+00:00"}

    def patch(self, path, body):
        self._check()
        self.sent.append((path, body))
        return {}

    def _check(self):
        if self.error:
            raise ApiError(*self.error)


class FolderListingHdfs(MemoryHdfs):
    """Files in memory. A listing also contains the folders, with the mtime of their latest file."""

    def status(self, path, strict=True):
        status = super().status(path, strict)
        if status and status["type"] == "DIRECTORY":
            mtimes = [time for name, time in self.modified.items() if name.startswith(f"{path}/")]
            status["modificationTime"] = max(mtimes)
        return status

    def delete(self, path, recursive=False):
        below = [name for name in self.files if recursive and name.startswith(f"{path}/")]
        return bool([self.files.pop(name) for name in (path, *below) if name in self.files])

    def list(self, folder, status=False):
        below = [path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/")]
        names = sorted({path.partition("/")[0] for path in below})
        return [(name, self.status(f"{folder}/{name}")) for name in names] if status else names


class Platform:
    """Delta tables in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.tables = Tables(self.uri)

    def uri(self, table):
        return str(self.folder / table.name)

    def write(self, table, rows):
        data = pa.Table.from_pylist(rows, schema=arrow_schema(table))
        write_deltalake(self.uri(table), data, mode="append")

    def add_dumps(self, *dumps):
        self.write(DUMPS, dumps)

    def add_records(self, sha256, *records, reason="text is empty"):
        self.write(
            QUARANTINE,
            [
                {"dump_sha256": sha256, "row_number": number, "raw_record": record, "reason": reason}
                for number, record in enumerate(records, start=1)
            ],
        )


class Mlflow:
    """MLflow with chosen runs by their id. A version's run has the number of the version."""

    def __init__(self):
        self.runs, self.error = {}, None

    def read_version(self, version):
        self._check()
        return {"run_id": f"{int(version):032x}"}

    def read_run(self, run_id):
        self._check()
        return self.runs[run_id]

    def _check(self):
        if self.error:
            raise MlflowError(self.error)


def sha256_of(name):
    return hashlib.sha256(name.encode()).hexdigest()


def dump(source, state="loaded", **values):
    """Return a row of `dumps`."""
    row = dict.fromkeys(DUMPS.column_names())
    counts = {"records": 120, "accepted": 100, "known": 10, "duplicates": 5, "quarantined": 15, "bytes": 4096}
    labels = {"negative": 20, "neutral": 30, "positive": 50}
    times = {"delivered_at": MORNING, "ingested_at": MORNING}
    names = {"dump_sha256": sha256_of(source), "source": source, "state": state, "run_id": "manual__1"}
    return row | counts | labels | times | names | values
