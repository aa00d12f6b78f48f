"""Error messages of the installer are one line with advice. Failed checks precede all downloads."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from deploy.common.errors import CommandError
from deploy.installation import downloads, install, jars, java, locks, packages


def fake_java(folder, version_line):
    """Create a JDK whose `java` prints a version, and return its home."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{version_line}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def lock_folder(tmp_path, monkeypatch):
    """A temporary checkout."""
    for module in (install, jars, locks, packages):
        monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    for module in (install, jars):
        monkeypatch.setattr(module, "JARS", tmp_path / ".jars")
    monkeypatch.setattr(install, "WEIGHTS", tmp_path / ".weights")
    for module in (install, downloads, packages):
        monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def test_wrong_python_version_is_refused_with_advice():
    with pytest.raises(
        CommandError,
        match=r"this is Python 3\.12, vaxpulse needs 3\.11: install it and run `make PYTHON=python3\.11",
    ):
        install.check_python((3, 12))


def test_full_disk_is_refused():
    with pytest.raises(CommandError, match=r"3\.0 GiB are free .* needs 11"):
        install.check_disk(3 << 30)
    install.check_disk(install.DISK_NEEDED_GIB << 30)


@pytest.mark.parametrize(
    ("version_line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21.0.1" 2023-10-17', 21),
        # before Java 9 the major version was the second number
        ('java version "1.8.0_391"', 8),
        ("Error: could not create the Java Virtual Machine.", None),
    ],
)
def test_java_version_is_read(tmp_path, version_line, version):
    assert java.java_version(fake_java(tmp_path, version_line) / "bin" / "java") == version


def java_line(version):
    return f'openjdk version "{version}.0.2" 2025-07-15'


@pytest.mark.parametrize("version", [17, 21])
def test_java_home_precedes_java_on_path(tmp_path, monkeypatch, version):
    home = fake_java(tmp_path / "home", java_line(version))
    on_path = fake_java(tmp_path / "path", java_line(17))
    monkeypatch.setenv("PATH", str(on_path / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java_home() == home
    monkeypatch.delenv("JAVA_HOME")
    assert java.find_java_home() == on_path


@pytest.mark.parametrize("version", [17, 21])
def test_java_on_path_may_be_a_link_into_its_jdk(tmp_path, monkeypatch, version):
    home = fake_java(tmp_path / "jdk", java_line(version))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert java.find_java_home() == home


@pytest.mark.parametrize("version", [11, 22, 25])
def test_java_home_of_another_version_is_refused(tmp_path, monkeypatch, version):
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, java_line(version))))
    advice = rf"is Java {version}, vaxpulse needs 17 or 21: set it to a JDK 17 or 21, or unset it"
    with pytest.raises(CommandError, match=advice):
        java.find_java_home()


def test_java_home_without_a_java_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(CommandError, match="is not a working Java"):
        java.find_java_home()


@pytest.mark.parametrize("version", [11, 22, 25])
def test_other_java_version_on_path_is_ignored(tmp_path, monkeypatch, version):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(fake_java(tmp_path, java_line(version)) / "bin"))
    assert java.find_java_home() == java.bundled_java_home()


def test_script_of_a_version_manager_on_path_is_no_jdk(tmp_path, monkeypatch):
    home = fake_java(tmp_path / "manager", java_line(17))
    (home / "shims").mkdir()
    (home / "bin" / "java").rename(home / "shims" / "java")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(home / "shims"))
    assert java.find_java_home() == java.bundled_java_home()


def test_bundled_java_has_an_accepted_version():
    assert java.java_version(java.bundled_java_home() / "bin" / "java") in java.JAVA_VERSIONS


@pytest.mark.parametrize("version", [17, 25, None])
def test_installation_warns_if_it_uses_the_bundled_java(tmp_path, monkeypatch, capsys, version):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    path = fake_java(tmp_path, java_line(version)) / "bin" if version else tmp_path
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(install, "is_current", lambda *_: True)
    monkeypatch.setattr(install, "class_archive_is_current", lambda _: False)
    used = []
    monkeypatch.setattr(install, "create_class_archive", used.append)
    install.install_java_parts()
    warning = capsys.readouterr().err
    if version == 17:
        assert (used, warning) == ([tmp_path], "")
    else:
        assert used == [java.bundled_java_home()]
        assert warning.startswith("install: there is no JDK 17 or 21 on PATH, so the bundled one is used")
        assert "install the system's" in warning


def test_installation_does_not_repeat_the_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("is_current", "class_archive_is_current"):
        monkeypatch.setattr(install, name, lambda *_: True)
    install.install_java_parts()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: No space left on device (os error 28)", "the disk is full"),
        ("Hash mismatch for `rich==15.0.0`", "does not have the hash in the lock file"),
        ("error sending request for url: dns error: failed to lookup address", "check the network"),
        (
            "  × Failed to download `rich==15.0.0`\n  ├─▶ Failed to fetch\n"
            "  ╰─▶ HTTP status client error (403 Forbidden)",
            "403 Forbidden",
        ),
        (
            "\x1b[31merror\x1b[0m: failed to open file `.venv/x`: Permission denied (os error 13)\r\n",
            "the installation failed: error: failed",
        ),
        ("  × Failed to build `hdfs==2.7.3`\n  ╰─▶ gcc: command not found\n", "gcc: command not found"),
        (
            "\tUNRESOLVED DEPENDENCIES\n\tio.delta#delta-spark_2.12;9.9: not found\n",
            "delta-spark_2.12;9.9: not found",
        ),
        ("", "no error message"),
    ],
)
def test_failed_download_is_explained_in_one_line(output, advice):
    message = downloads.explain_download_failure(output)
    assert advice in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert ("check the network" in message) == ("dns error" in output)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_failure_is_explained_with_and_without_a_terminal(lock_folder, monkeypatch, on_terminal):
    """With a terminal as stderr, the downloader gets one, too, and draws its progress bar."""
    terminal, stderr = pty.openpty()
    with os.fdopen(stderr, "w") as ours, os.fdopen(terminal, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", ours if on_terminal else io.StringIO())
        program = (
            "import sys; bar = 'bar' if sys.stderr.isatty() else 'no bar'; "
            "print(bar, 'No space left on device', file=sys.stderr); sys.exit(2)"
        )
        with pytest.raises(CommandError, match="the disk is full"):
            downloads.run_downloader([sys.executable, "-c", program])
        if on_terminal:
            assert b"bar No space left on device" in screen.read(1 << 16)
    assert (lock_folder / ".venv" / "install.log").read_text().startswith("bar" if on_terminal else "no bar")


@pytest.mark.usefixtures("lock_folder")
def test_successful_download_raises_nothing():
    downloads.run_downloader([sys.executable, "-c", ""])


def test_weights_of_an_earlier_version_are_replaced(lock_folder, monkeypatch):
    old = lock_folder / ".weights" / "bge-small" / "model.safetensors"
    old.parent.mkdir(parents=True)
    old.touch()
    (lock_folder / "training" / "models").mkdir(parents=True)
    (lock_folder / install.WEIGHTS_LOCK).write_text("hash")
    commands = []

    def fetch(command):
        assert not old.exists()
        (lock_folder / ".weights").mkdir()
        commands.append(command)

    monkeypatch.setattr(install, "run_downloader", fetch)
    for _ in range(2):
        install.install_weights()
    [command] = commands
    assert command[2:] == ["training.models.weights", "--preset", "bge-small", "--folder", install.WEIGHTS]


def test_changed_jar_is_refused_and_removed(lock_folder, monkeypatch):
    (lock_folder / "jars.lock").write_text(f"{'0' * 64}  spark/delta.jar\n")

    def fetch(_java_home, destination):
        (destination / "spark").mkdir(parents=True)
        (destination / "spark" / "delta.jar").write_bytes(b"other content")

    monkeypatch.setattr(jars, "fetch_jars", fetch)
    with pytest.raises(CommandError, match=re.escape("spark/delta.jar")):
        jars.install_jars(lock_folder)
    assert not (lock_folder / ".jars" / "spark" / "delta.jar").exists()
    assert not locks.is_current(lock_folder / ".jars", "jars.lock")


def test_jar_that_is_not_in_the_lock_file_is_removed(lock_folder, monkeypatch):
    folder = lock_folder / ".jars" / "spark"
    folder.mkdir(parents=True)
    (folder / "old.jar").write_bytes(b"old")
    (folder / "new.jar").write_bytes(b"new")
    (lock_folder / "jars.lock").write_text(f"{locks.sha256(folder / 'new.jar')}  spark/new.jar\n")
    monkeypatch.setattr(jars, "fetch_jars", lambda *_: None)
    jars.install_jars(lock_folder)
    assert [jar.name for jar in folder.iterdir()] == ["new.jar"]
    assert locks.is_current(lock_folder / ".jars", "jars.lock")


def test_requirement_of_a_package_contains_its_hashes(lock_folder):
    (lock_folder / "requirements.txt").write_text(
        "rich==15.0.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nuv==0.1\n"
    )
    assert packages.requirement("rich") == "rich==15.0.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"


def test_wrong_java_home_is_refused_before_anything_is_downloaded(lock_folder, monkeypatch, capsys):
    monkeypatch.setenv("JAVA_HOME", str(lock_folder / "nowhere"))
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "is not a working Java" in line
    assert list((lock_folder / ".venv").iterdir()) == []


def test_unreachable_registry_is_reported_in_one_line_with_a_log(lock_folder, monkeypatch, capsys):
    (lock_folder / "requirements.txt").write_text("uv==0.1 \\\n    --hash=sha256:aa\n")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setattr(install, "DISK_NEEDED_GIB", 0)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "check the network" in line
    assert (lock_folder / ".venv" / "install.log").exists()
    assert not locks.is_current(lock_folder / ".venv", "requirements.txt")


def test_packages_are_installed_by_hash_and_compiled(lock_folder, monkeypatch):
    (lock_folder / "requirements.txt").write_text("uv==0.1 \\\n    --hash=sha256:aa\n")
    binaries = lock_folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("python", "uv"):
        (binaries / name).touch()
    commands = []
    monkeypatch.setattr(packages, "run_downloader", commands.append)
    packages.install_packages()
    [[program, *arguments]] = commands
    assert program == binaries / "uv"
    assert arguments[:2] == ["pip", "sync"]
    assert {"--require-hashes", "--compile-bytecode", lock_folder / "requirements.txt"} <= set(arguments)
    assert locks.is_current(lock_folder / ".venv", "requirements.txt")


def test_environment_without_pip_of_an_interrupted_installation_is_created_again(lock_folder, monkeypatch):
    (lock_folder / "requirements.txt").write_text("uv==0.1 \\\n    --hash=sha256:aa\n")
    python = lock_folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    commands = []
    monkeypatch.setattr(packages, "run_downloader", commands.append)
    packages.install_packages()
    assert commands[0][:3] == [python, "-m", "pip"]
    subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({}, []),
        (
            {"https_proxy": "http://user:secret@proxy.example.org:3128", "http_proxy": "proxy:80"},
            [
                "-Dhttp.proxyHost=proxy",
                "-Dhttp.proxyPort=80",
                "-Dhttps.proxyHost=proxy.example.org",
                "-Dhttps.proxyPort=3128",
            ],
        ),
        (
            {"no_proxy": "127.0.0.1, .example.org"},
            ["-Dhttp.nonProxyHosts=127.0.0.1|*.127.0.0.1|example.org|*.example.org"],
        ),
        ({"no_proxy": "*"}, ["-Dhttp.nonProxyHosts=*"]),
    ],
)
def test_java_gets_the_proxies_of_the_environment(monkeypatch, variables, options):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert jars.proxy_options() == options
