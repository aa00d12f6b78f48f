"""Class data sharing: a driver gets the archive only while it fits, and nothing that is wrong with it can fail an installation or a job."""

import os
import subprocess

import pytest

from deploy.embedded import install
from deploy.embedded import settings as settings_module
from deploy.embedded.settings import CONFIGURATION, Settings


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Where the archive of a checkout of our own would be."""
    jars = tmp_path / ".jars"
    (jars / "spark").mkdir(parents=True)
    file = jars / "spark-classes.jsa"
    (tmp_path / "spark_jobs").mkdir()
    for name in ("requirements.txt", "jars.lock", "spark_jobs/record_classes.py"):
        (tmp_path / name).write_text("as installed")
    monkeypatch.setattr(install, "REPOSITORY", tmp_path)
    monkeypatch.setattr(install, "JARS", jars)
    monkeypatch.setattr(install, "CLASS_ARCHIVE", file)
    monkeypatch.setattr(settings_module, "CLASS_ARCHIVE", file)
    return file


@pytest.fixture
def platform(tmp_path, monkeypatch):
    """An embedded platform with a JDK of its own."""
    java_home = fake_jdk(tmp_path / "jdk", "exit 0")
    platform = Settings(tmp_path / "home of a platform", settings_module.DEFAULT_PORTS)
    monkeypatch.setitem(platform.__dict__, "java_home", java_home)
    return platform


def fake_jdk(folder, script):
    """The home of a JDK whose `java` is a shell script."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return folder


def install_archive(archive, java_home):
    archive.write_text("classes")
    archive.with_suffix(".stamp").write_text(install.class_archive_stamp(java_home))


def shares_classes(platform):
    return "SharedArchiveFile" in platform.driver_settings()["spark.driver.defaultJavaOptions"]


def test_driver_gets_the_archive_that_was_made_for_its_jdk_and_jars(archive, platform):
    assert not shares_classes(platform)
    install_archive(archive, platform.java_home)
    assert shares_classes(platform)


@pytest.mark.parametrize(
    "changed", ["requirements.txt", "jars.lock", "spark_jobs/record_classes.py", "jdk/bin/java"]
)
def test_archive_is_made_anew_and_not_used_when_what_it_depends_on_changes(
    archive, platform, tmp_path, changed
):
    install_archive(archive, platform.java_home)
    (tmp_path / changed).write_text("another version")
    assert not install.class_archive_is_current(platform.java_home)
    assert not shares_classes(platform)


def test_cut_archive_is_not_used(archive, platform):
    install_archive(archive, platform.java_home)
    archive.write_text("cla")  # Java would crash on it
    assert not shares_classes(platform)


def test_installation_goes_on_without_an_archive_when_java_cannot_make_one(archive, tmp_path, capsys):
    java_home = fake_jdk(tmp_path / "other jdk", "echo no space for this >&2; exit 1")
    install_archive(archive, java_home)
    install.archive_classes(java_home)
    assert "Spark jobs will start more slowly" in capsys.readouterr().out
    assert "no space for this" in archive.with_suffix(".log").read_text()
    assert not archive.exists()
    assert not install.class_archive_is_current(java_home)


@pytest.mark.parametrize("content", [None, b"", b"no archive", bytes(100_000)])
def test_java_starts_without_a_word_when_the_archive_is_missing_or_is_none(tmp_path, content):
    file = tmp_path / "classes.jsa"
    if content is not None:
        file.write_bytes(content)
    java = install.find_java_home() / "bin" / "java"
    started = subprocess.run(
        [java, f"-XX:SharedArchiveFile={file}", "-Xlog:cds*=off", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout.startswith("openjdk 17")
    assert started.stderr == ""


@pytest.mark.parametrize(
    ("storage", "megabytes", "option"),
    [
        ("hdfs", 0, "-XX:TieredStopAtLevel=1"),
        ("hdfs", 101, ""),
        ("on another machine", 0, ""),
    ],
)
def test_compiler_is_chosen_by_what_hdfs_holds(tmp_path, storage, megabytes, option):
    (tmp_path / "hdfs" / "data").mkdir(parents=True)
    with (tmp_path / "hdfs" / "data" / "blk_1").open("wb") as block:
        os.posix_fallocate(block.fileno(), 0, max(1, megabytes << 20))
    script = (CONFIGURATION / "spark" / "spark-env.sh").read_text() + 'echo "$SPARK_SUBMIT_OPTS"'
    environment = {"PATH": "/usr/bin:/bin", "VAXPULSE_HDFS_STORAGE": str(tmp_path / storage)}
    shown = subprocess.run(
        ["bash", "-o", "posix", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert (shown.stdout.strip(), shown.stderr) == (option, "")
