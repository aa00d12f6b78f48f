"""Page *Bring a dump*. The inspection runs as in a deployment, in a process of its own."""

import asyncio
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.security import get_user

from contracts.hdfs_paths import UPLOADS
from tests.plugins.pages.platform import HOSTILE, FolderListingHdfs, User
from vaxpulse_airflow.landing import uploaded_name
from vaxpulse_airflow.pages.access import form_token
from vaxpulse_airflow.pages.data import uploads

REPOSITORY = Path(__file__).parents[3]
CSV = b"tweet_id,safe_text,label\n1364506249291784198,vaccines work,1\n1364506167226032128,no,-1\n"
AMBIGUOUS = b"id,tweet,target\n1364506249291784198,vaccines work,4\n1364506167226032128,no,0\n"


@pytest.fixture
def deliverer(browser, permissions, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    permissions.changeable.add("ingest_tweets")
    return browser


def send(browser, content, name="june.csv", **fields):
    values = {"token": form_token(User("analyst"))} | fields
    return browser.post("/bring/file", data=values, files={"file": (name, content)})


def post(browser, path, **fields):
    return browser.post(path, data={"token": form_token(User("analyst"))} | fields)


def test_uploaded_file_is_stored_unchanged_and_inspected(deliverer, hdfs):
    address = send(deliverer, CSV).headers["location"]
    assert address.startswith("/bring/")
    assert [content for path, content in hdfs.files.items() if path.endswith("/june.csv")] == [CSV]
    page = deliverer.get(address).text
    for text in ("can be loaded", "2 tweets of 2 records", "vaccines work", 'value="safe_text"'):
        assert text in page


def test_load_starts_the_dag_with_the_upload(deliverer, airflow):
    address = send(deliverer, CSV, "june 2.csv").headers["location"]
    answer = post(deliverer, f"{address}/load")
    [(path, body)] = airflow.sent
    assert path == "/api/v2/dags/ingest_tweets/dagRuns"
    assert body["conf"]["mapping"] is None
    dump = body["conf"]["dump"]
    assert re.fullmatch(rf"hdfs://{UPLOADS}/[0-9a-f]{{32}}/file/june%202\.csv", dump)
    assert uploaded_name(dump.removeprefix("hdfs://")) == "june 2.csv"
    assert answer.headers["location"].startswith("/dags/ingest_tweets/runs/")


def test_questions_are_answered_by_the_form(deliverer, airflow):
    address = send(deliverer, AMBIGUOUS).headers["location"]
    page = deliverer.get(address).text
    assert "has questions" in page
    values = dict(re.findall('name="(value:[0-9]+)" value="([^"]+)"', page))
    meanings = {
        name.replace("value", "label"): {"4": "1", "0": "-1"}[value] for name, value in values.items()
    }
    assert len(values) == 2
    assert post(deliverer, f"{address}/inspect", **values, **meanings).headers["location"] == address
    assert "can be loaded" in deliverer.get(address).text
    post(deliverer, f"{address}/load")
    assert airflow.sent[0][1]["conf"]["mapping"] == {"labels": {"4": 1, "0": -1}}


def test_file_that_is_no_dump_cannot_be_loaded(deliverer):
    page = deliverer.get(send(deliverer, os.urandom(5000)).headers["location"]).text
    assert "cannot be loaded" in page
    assert "/load" not in page


def test_page_reloads_while_the_inspection_runs(deliverer, app):
    app.state.uploads._run = lambda *arguments: None
    page = deliverer.get(send(deliverer, CSV).headers["location"]).text
    assert 'http-equiv="refresh"' in page
    assert "being inspected" in page


def test_inspection_over_a_limit_has_an_explanation(deliverer, monkeypatch):
    monkeypatch.setattr(uploads, "LIMITS", ("prlimit", "--data=1000000"))
    page = deliverer.get(send(deliverer, CSV).headers["location"]).text
    assert "could not be inspected within the limits" in page
    assert "/load" in page


def test_inspection_sees_no_secret(deliverer, monkeypatch):
    seen = []
    run = uploads.subprocess.run
    monkeypatch.setattr(uploads.subprocess, "run", lambda *a, **k: seen.append(k["env"]) or run(*a, **k))
    monkeypatch.setenv("PGPASSWORD", "secret")
    send(deliverer, CSV)
    assert "secret" not in str(seen)
    assert len(seen) == 1


def test_address_is_loaded_by_the_dag(deliverer, airflow):
    post(deliverer, "/bring/address", address="https://example.org/june.csv")
    [(_, body)] = airflow.sent
    assert body["conf"] == {"dump": "https://example.org/june.csv"}


def test_viewer_cannot_upload(browser, hdfs):
    assert browser.get("/bring").status_code == 403
    assert send(browser, CSV).status_code == 403
    assert hdfs.files == {}


@pytest.mark.parametrize("token", ["", "9999999999.0"])
def test_upload_without_a_valid_token_is_not_stored(deliverer, hdfs, token):
    assert send(deliverer, CSV, token=token).status_code == 403
    assert hdfs.files == {}


def test_upload_of_another_site_is_refused(deliverer, hdfs):
    answer = deliverer.post(
        "/bring/file",
        data={"token": form_token(User("analyst"))},
        files={"file": ("june.csv", CSV)},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert hdfs.files == {}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", ".hidden", "a/b.csv", "%2e%2e", "é疫\u202e.csv", "x" * 400]
)
def test_hostile_file_name_stays_in_the_folder_of_the_upload(deliverer, hdfs, name):
    address = send(deliverer, CSV, name).headers["location"]
    upload_id = address.rpartition("/")[2]
    folders = {path.rpartition("/")[0] for path in hdfs.files}
    assert folders == {f"{UPLOADS}/{upload_id}", f"{UPLOADS}/{upload_id}/file"}
    page = deliverer.get(address)
    assert page.status_code == 200
    assert "\u202e" not in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_content_is_harmless(deliverer, text):
    quoted = text.replace('"', '""')
    content = f'tweet_id,safe_text,"{quoted}"\n1364506249291784198,"{quoted}","{quoted}"\n'.encode()
    page = deliverer.get(send(deliverer, content).headers["location"]).text
    shown = re.sub("<[^>]*>", "", page)
    assert "<script" not in page
    assert "<img" not in page
    assert not {"\u202e", "\x1b"} & set(shown)
    assert "ann_smith" not in shown
    assert "x" * 2500 not in shown


def test_unknown_upload_is_not_found(deliverer):
    assert deliverer.get(f"/bring/{'0' * 32}").status_code == 404
    assert deliverer.get("/bring/..%2F..").status_code in (404, 422)


def test_inspection_that_fails_is_not_shown_as_running(deliverer, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(uploads, "inspect_file", fail)
    page = deliverer.get(send(deliverer, CSV).headers["location"]).text
    assert "could not be inspected" in page
    assert "is being inspected" not in page


class DiscardingHdfs(FolderListingHdfs):
    """Remembers only the sizes of files."""

    def __init__(self):
        super().__init__()
        self.sizes = {}

    def write(self, path, data):
        self.put(path, b"")
        self.sizes[path] = sum(map(len, data))

    def rename(self, source, destination):
        super().rename(source, destination)
        self.sizes[destination] = self.sizes.pop(source)

    def status(self, path, strict=True):
        status = super().status(path, strict)
        return status and status | {"length": self.sizes.get(path, 0)}


def test_memory_of_the_server_does_not_depend_on_the_size_of_an_upload(app, permissions):
    """TestClient has the whole body in memory, so the application is called directly."""
    blocks, block = 64, b"x" * (1 << 20)
    hdfs = DiscardingHdfs()
    app.state.uploads = uploads.Uploads(lambda: hdfs, run=lambda *_: None)
    app.dependency_overrides[get_user] = lambda: User("analyst")
    permissions.changeable.add("ingest_tweets")
    head = (
        f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{form_token(User("analyst"))}\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="june.csv"\r\n\r\n'
    ).encode()
    end = b"\r\n--b--\r\n"
    headers = {
        b"host": b"test",
        b"content-type": b"multipart/form-data; boundary=b",
        b"content-length": str(len(head) + blocks * len(block) + len(end)).encode(),
    }
    scope = {"type": "http", "method": "POST", "path": "/bring/file", "query_string": b"", "scheme": "http"}
    scope |= {
        "headers": list(headers.items()),
        "server": ("test", 80),
        "root_path": "",
        "http_version": "1.1",
    }
    messages = iter([head, *[block] * blocks, end])
    answers = []

    async def receive():
        body = next(messages, None)
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": body is not end}

    async def send(message):
        answers.append(message)

    tracemalloc.start()
    asyncio.run(app(scope, receive, send))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answers[0]["status"] == 303
    assert blocks * len(block) in hdfs.sizes.values()
    assert peak < 24 << 20
