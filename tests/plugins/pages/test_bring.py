"""Page *Bring a dump*. The inspection runs as in a deployment, in a process of its own."""

import asyncio
import os
import re
import tracemalloc
from pathlib import Path
from queue import Empty, Queue
from threading import Event, current_thread

import pytest
import requests
from airflow.api_fastapi.core_api.security import get_user
from hdfs import HdfsError

from contracts.hdfs_paths import UPLOADS
from tests.plugins.pages.platform import HOSTILE, FolderListingHdfs, User
from tests.plugins.test_download import Web
from vaxpulse_airflow.landing import uploaded_name
from vaxpulse_airflow.pages.access import form_token
from vaxpulse_airflow.pages.data import inspection, uploads

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


def test_value_without_an_answer_stays_in_the_form(deliverer):
    content = AMBIGUOUS + b"1364506167226032129,who knows,2\n"
    address = send(deliverer, content).headers["location"]
    given = {"value:0": "4", "label:0": "1", "value:1": "0", "label:1": ""}
    post(deliverer, f"{address}/inspect", **given, **{"part:text": "tweet"})
    page = deliverer.get(address).text
    assert "has questions" in page
    choices = dict(re.findall(r'name="value:\d+" value="([^"]+)">\n(<select.*?</select>)', page, re.DOTALL))
    assert choices.keys() == {"4", "0", "2"}
    assert '<option value="1" selected>' in choices["4"]
    assert all("please choose" in choices[value] for value in ("0", "2"))
    assert 'name="part:text" maxlength="300" value="tweet"' in page


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
    monkeypatch.setattr(inspection, "LIMITS", ("prlimit", "--data=1000000"))
    page = deliverer.get(send(deliverer, CSV).headers["location"]).text
    assert "could not be inspected within the limits" in page
    assert "/load" in page


def test_inspection_sees_no_secret(deliverer, monkeypatch):
    seen = []
    run = inspection.subprocess.run
    monkeypatch.setattr(inspection.subprocess, "run", lambda *a, **k: seen.append(k["env"]) or run(*a, **k))
    monkeypatch.setenv("PGPASSWORD", "secret")
    send(deliverer, CSV)
    assert "secret" not in str(seen)
    assert len(seen) == 1


@pytest.fixture
def web(monkeypatch):
    return Web(monkeypatch)


def test_url_is_downloaded_inspected_and_loaded_without_its_secrets(deliverer, web, hdfs, airflow):
    url = "https://example.org/june.csv"
    web.responses[f"{url}?signature=abc"] = (200, {}, CSV)
    address = post(deliverer, "/bring/address", address=f" {url}?signature=abc ").headers["location"]
    page = deliverer.get(address).text
    for text in (url, "can be loaded", "2 tweets of 2 records", "vaccines work"):
        assert text in page
    assert CSV in hdfs.files.values()
    post(deliverer, f"{address}/load")
    dump = airflow.sent[0][1]["conf"]["dump"]
    assert uploaded_name(dump.removeprefix("hdfs://")) == url
    assert "signature" not in f"{hdfs.files} {page}"


def test_file_in_hdfs_is_loaded_by_the_dag_without_an_inspection(deliverer, airflow, hdfs):
    answer = post(deliverer, "/bring/address", address="hdfs://namenode:8020/data/june.csv")
    [(_, body)] = airflow.sent
    assert body["conf"] == {"dump": "hdfs://namenode:8020/data/june.csv"}
    assert answer.headers["location"].startswith("/dags/ingest_tweets/runs/")
    assert hdfs.files == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/june%202%2Fcovid%25.csv",
        "https://example.org/é疫.csv",
        "https://example.org/\u202evsc.enuj",
        f"https://example.org/{'x' * 900}",
    ],
)
def test_name_of_a_url_is_encoded_once(deliverer, web, airflow, url):
    web.addresses["example.org"] = ["93.184.215.14"]
    web.respond = lambda requested: (200, {}, CSV)
    address = post(deliverer, "/bring/address", address=url).headers["location"]
    page = deliverer.get(address).text
    assert "can be loaded" in page
    assert "\u202e" not in page
    post(deliverer, f"{address}/load")
    dump = airflow.sent[0][1]["conf"]["dump"]
    assert uploaded_name(dump.removeprefix("hdfs://")) == url


@pytest.mark.parametrize(
    ("host", "status", "message"),
    [
        ("93.184.215.14", 404, "https://example.org/june.csv cannot be read: the server answers 404"),
        ("169.254.169.254", 200, "has an address that is not public"),
    ],
)
def test_failed_download_is_explained_and_cannot_be_loaded(deliverer, web, hdfs, host, status, message):
    web.addresses["example.org"] = [host]
    web.responses["https://example.org/june.csv"] = (status, {}, CSV)
    address = post(deliverer, "/bring/address", address="https://example.org/june.csv").headers["location"]
    page = deliverer.get(address).text
    assert "not downloaded" in page
    assert message in page
    assert "https://example.org/june.csv" in page
    assert "/load" not in page
    assert "/inspect" not in page
    assert post(deliverer, f"{address}/load").status_code == 404
    assert CSV not in hdfs.files.values()


def test_connection_that_ends_early_is_explained_and_nothing_is_stored(deliverer, web, hdfs):
    web.responses["https://example.org/june.csv"] = (200, {"Content-Length": "1000000"}, CSV)
    address = post(deliverer, "/bring/address", address="https://example.org/june.csv").headers["location"]
    page = deliverer.get(address).text
    assert "june.csv cannot be read: ProtocolError" in page
    assert "/load" not in page
    assert not any("/file/" in path for path in hdfs.files)


class WrappingHdfs(FolderListingHdfs):
    """Raises an error of the transport around each error while it writes, as the client does."""

    def write(self, path, data):
        try:
            super().write(path, data)
        except OSError as error:
            raise requests.ConnectionError(f"/webhdfs/v1/?delegation=secret {error}") from error


def test_page_shows_the_error_of_the_source_without_that_of_the_hdfs_client(app, deliverer, web):
    hdfs = WrappingHdfs()
    app.state.uploads._connect = lambda: hdfs
    web.responses["https://example.org/june.csv"] = (200, {"Content-Length": "1000000"}, CSV)
    address = post(deliverer, "/bring/address", address="https://example.org/june.csv").headers["location"]
    page = deliverer.get(address).text
    assert "june.csv cannot be read: ProtocolError" in page
    assert "webhdfs" not in page


def test_page_does_not_show_hosts_and_tokens_of_hdfs(deliverer, web, monkeypatch):
    def fail(*_):
        raise requests.ConnectionError("/webhdfs/v1/?delegation=secret")

    web.responses["https://example.org/june.csv"] = (200, {}, CSV)
    monkeypatch.setattr(uploads, "upload", fail)
    address = post(deliverer, "/bring/address", address="https://example.org/june.csv").headers["location"]
    page = deliverer.get(address).text
    assert "HDFS did not store the file" in page
    assert "webhdfs" not in page


class FailingHdfs(FolderListingHdfs):
    """Fails a number of times to rename a report."""

    def __init__(self, failures):
        super().__init__()
        self.failures, self.attempts = failures, 0

    def rename(self, source, destination):
        if "/report-" in destination:
            self.attempts += 1
            if self.attempts <= self.failures:
                raise HdfsError("Name node is in safe mode")
        super().rename(source, destination)


@pytest.mark.parametrize(
    ("failures", "attempts", "text"), [(2, 3, "can be loaded"), (99, 4, "is being inspected")]
)
def test_report_is_written_when_hdfs_answers_again(app, deliverer, monkeypatch, failures, attempts, text):
    hdfs = FailingHdfs(failures)
    app.state.uploads._connect = lambda: hdfs
    monkeypatch.setattr(uploads, "RETRY_SECONDS", [0] * len(uploads.RETRY_SECONDS))
    address = send(deliverer, CSV).headers["location"]
    assert text in deliverer.get(address).text
    assert hdfs.attempts == attempts
    if failures == 99:
        monkeypatch.setattr(uploads, "MAX_SECONDS", -100)
        page = deliverer.get(address).text
        assert "Bring the dump again" in page
        assert 'http-equiv="refresh"' not in page


def test_upload_that_was_erased_during_its_inspection_does_not_return(app, deliverer, hdfs, monkeypatch):
    def erase(*_):
        hdfs.delete(UPLOADS, recursive=True)
        return {"outcome": "load", "records": 1, "message": "erased text"}

    monkeypatch.setattr(uploads, "inspect_file", erase)
    address = send(deliverer, CSV).headers["location"]
    assert hdfs.files == {}
    assert deliverer.get(address).status_code == 404


def test_page_never_sees_an_incomplete_report(deliverer, app, hdfs, monkeypatch):
    seen = []
    write = hdfs.write
    address = send(deliverer, CSV).headers["location"]

    def write_in_view(path, data):
        def blocks():
            for block in data:
                seen.append(deliverer.get(address).status_code)
                yield block

        write(path, blocks())

    monkeypatch.setattr(hdfs, "write", write_in_view)
    post(deliverer, f"{address}/inspect")
    assert seen == [200, 200]


def test_number_of_downloads_is_limited(deliverer, app, web):
    begun = []
    app.state.uploads._run_download = lambda *arguments: begun.append(arguments)
    for _ in range(uploads.MAX_DOWNLOADS):
        assert post(deliverer, "/bring/address", address="https://example.org/june.csv").status_code == 303
    answer = post(deliverer, "/bring/address", address="https://example.org/june.csv")
    assert answer.status_code == 429
    web.responses["https://example.org/june.csv"] = (200, {}, CSV)
    function, *arguments = begun[0]
    function(*arguments)
    assert post(deliverer, "/bring/address", address="https://example.org/june.csv").status_code == 303


def test_user_and_url_of_a_download_are_in_the_log(deliverer, web, caplog):
    web.responses["https://example.org/june.csv?signature=abc"] = (404, {}, b"")
    with caplog.at_level("INFO"):
        post(deliverer, "/bring/address", address="https://example.org/june.csv?signature=abc")
    assert "analyst downloads https://example.org/june.csv as upload" in caplog.text
    assert "signature" not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "https://ann:secret@example.org/june.csv",
        "ftp://example.org/june.csv",
        f"https://example.org/{'x' * 1500}",
    ],
)
def test_refused_address_starts_no_download(deliverer, web, hdfs, address):
    answer = post(deliverer, "/bring/address", address=address)
    assert answer.status_code == 400
    assert "secret" not in answer.text
    assert hdfs.files == {}
    assert web.requested == []


def test_page_reloads_while_the_download_runs(deliverer, app):
    app.state.uploads._run_download = lambda *arguments: None
    address = post(deliverer, "/bring/address", address="https://example.org/june.csv").headers["location"]
    page = deliverer.get(address).text
    assert 'http-equiv="refresh"' in page
    assert "is being downloaded" in page


def test_threads_of_a_server_do_not_delay_its_end_and_are_bounded():
    threads, started, release = uploads.DaemonThreads(at_once=1), Queue(), Event()

    def work(number):
        started.put((number, current_thread().daemon))
        release.wait(30)

    threads.start(work, 1)
    assert started.get(timeout=30) == (1, True)
    threads.start(work, 2)
    with pytest.raises(Empty):
        started.get(timeout=0.2)
    release.set()
    assert started.get(timeout=30) == (2, True)


def test_viewer_cannot_upload(browser, hdfs):
    assert browser.get("/bring").status_code == 403
    assert send(browser, CSV).status_code == 403
    assert hdfs.files == {}


@pytest.mark.parametrize("token", ["", "9999999999.0"])
def test_upload_without_a_valid_token_is_not_stored(deliverer, hdfs, token):
    assert send(deliverer, CSV, token=token).status_code == 403
    assert hdfs.files == {}


def test_address_needs_permission_token_and_origin(browser, permissions, web, hdfs):
    fields = {"token": form_token(User("analyst")), "address": "https://example.org/june.csv"}
    assert browser.post("/bring/address", data=fields).status_code == 403
    permissions.changeable.add("ingest_tweets")
    assert browser.post("/bring/address", data=fields | {"token": "9999999999.0"}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert browser.post("/bring/address", data=fields, headers=foreign).status_code == 403
    assert hdfs.files == {}
    assert web.requested == []


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
