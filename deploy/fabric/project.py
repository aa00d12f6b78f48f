"""The archive of the project that every machine gets: the files of the current commit."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.common.checkout import REPOSITORY
from deploy.common.errors import CommandError


@dataclass(frozen=True)
class Archive:
    """A compressed tar file of a commit. The same commit gives the same bytes."""

    path: Path
    commit: str
    sha256: str


def write_archive(folder: Path) -> Archive:
    """Write the files of HEAD to an archive in `folder`.

    Raises:
        CommandError: this is no git checkout, or tracked files have changes, which would not be copied.
    """
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        names = ", ".join(line[3:] for line in changed.splitlines()[:3])
        raise CommandError(f"files have changes that are not committed, for example {names}: commit them")
    commit = git("rev-parse", "HEAD")
    path = folder / "project.tar.gz"
    git("archive", "--format=tar.gz", f"--output={path}", commit)
    return Archive(path, commit, hashlib.sha256(path.read_bytes()).hexdigest())


def git(*arguments: str) -> str:
    """Return the output of a git command in the checkout."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"`git {arguments[0]}` failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")
