"""Run programs that download, and explain their failures in one line."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import IO

from deploy.common.checkout import ENVIRONMENT
from deploy.common.errors import CommandError

# Messages of pip, uv and Ivy if a server cannot be reached or a connection breaks.
NETWORK_FAILURE = re.compile(
    r"dns error|failed to lookup|name resolution|connection (refused|reset|aborted|timed out)|timed? ?out"
    r"|unreachable|connect error|error sending request|NewConnectionError|Max retries|proxy|certificate"
    r"|SSLError|Server access error",
    re.IGNORECASE,
)
CAUSE = re.compile(r"error|failed|cannot|could not|denied|unresolved|not found", re.IGNORECASE)
TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and cursor movements of a progress bar


def run_downloader(command: list[str | Path]) -> None:
    """Run a command that downloads, and show its progress. Raise CommandError if it fails."""
    log = ENVIRONMENT / "install.log"
    with log.open("wb") as record:
        if sys.stderr.isatty():
            status = run_in_terminal(command, record)
        else:
            status = subprocess.run(command, stderr=record, check=False).returncode
    if status:
        raise CommandError(f"{explain_download_failure(log.read_text(errors='replace'))} (details: {log})")


def run_in_terminal(command: list[str | Path], record: IO[bytes]) -> int:
    """Run a command with a pseudo-terminal as stderr, so that it draws progress bars. Record stderr."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, termios.tcgetwinsize(sys.stderr))
    with subprocess.Popen(command, stderr=theirs) as process, os.fdopen(ours, "rb", buffering=0) as output:
        os.close(theirs)
        with suppress(OSError):  # EIO: the command has ended
            while piece := output.read(1 << 16):
                sys.stderr.buffer.write(piece)
                sys.stderr.flush()
                record.write(piece)
    return process.returncode


def explain_download_failure(output: str) -> str:
    """Return one line with the cause of a failed download and advice."""
    lines = [line.strip(" │├╰─▶×\t") for line in re.split(r"[\r\n]+", TERMINAL_CODES.sub("", output))]
    lines = [line for line in lines if line]
    text = "\n".join(lines)
    if "No space left" in text:
        return "the disk is full: free disk space and run it again"
    if re.search(r"hash.*mismatch|mismatch.*hash|do not match the hashes", text, re.IGNORECASE):
        return (
            "a downloaded file does not have the hash in the lock file, so it was modified: do not install it"
        )
    # The cause is last: uv prints it below the failed operation, pip below its retries.
    cause = ([line for line in lines if CAUSE.search(line)] or lines or ["no error message"])[-1]
    if NETWORK_FAILURE.search(text):
        return (
            "the download failed: check the network (HTTPS_PROXY, SSL_CERT_FILE and your mirrors for pip, "
            f"uv and Maven are used), then run it again; completed downloads are cached. Cause: {cause}"
        )
    return f"the installation failed: {cause}"
