"""Class data sharing: drivers use the archive only if it fits, and work without it."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.common.checkout import CONFIGURATION
from deploy.embedded import settings as settings_module
from deploy.embedded.settings import Settings
from deploy.installation import class_archive
from deploy.installation.java import find_java_home, java_version


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The archive's path in a temporary checkout."""
    jars = tmp_path / ".jars"
    (jars / "spark").mkdir(parents=True)
    file = jars / "spark-classes.jsa"
    (tmp_path / "spark_jobs").mkdir()
    for name in ("requirements.txt", "jars.lock", "spark_jobs/record_classes.py"):
        (tmp_path / name).write_text("as installed")
    monkeypatch.setattr(class_archive, "REPOSITORY", tmp_path)
    monkeypatch.setattr(class_archive, "JARS", jars)
    monkeypatch.setattr(class_archive, "CLASS_ARCHIVE", file)
    monkeypatch.setattr(settings_module, "CLASS_ARCHIVE", file)
    return file


@pytest.fixture
def platform(tmp_path, monkeypatch):
    """An embedded platform with its own JDK."""
    java_home = fake_jdk(tmp_path / "jdk", "exit 0")
    platform = Settings(tmp_path / "home of a platform", settings_module.DEFAULT_PORTS)
    monkeypatch.setitem(platform.__dict__, "java_home", java_home)
    return platform


def fake_jdk(folder, script):
    """Create a JDK whose `java` is a shell script, and return its home."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return folder


def install_archive(archive, java_home):
    archive.write_text("classes")
    archive.with_suffix(".stamp").write_text(class_archive.class_archive_stamp(java_home))


def shares_classes(platform):
    return "SharedArchiveFile" in platform.driver_settings()["spark.driver.defaultJavaOptions"]


def test_arrow_precedes_the_jars_of_spark_and_the_others_follow_them(archive):
    for name in ("arrow/arrow.jar", "hdfs/hdfs.jar", "spark/delta.jar", "scoring/onnx.jar"):
        (archive.parent / name).parent.mkdir(exist_ok=True)
        (archive.parent / name).touch()
    entries = class_archive.spark_class_path().split(os.pathsep)
    assert [Path(entry).name for entry in entries] == ["arrow.jar", "*", "delta.jar", "onnx.jar"]


def test_driver_uses_an_archive_for_its_jdk_and_jars(archive, platform):
    assert not shares_classes(platform)
    install_archive(archive, platform.java_home)
    assert shares_classes(platform)


@pytest.mark.parametrize(
    "changed", ["requirements.txt", "jars.lock", "spark_jobs/record_classes.py", "jdk/bin/java"]
)
def test_archive_is_not_current_after_a_change_of_its_inputs(archive, platform, tmp_path, changed):
    install_archive(archive, platform.java_home)
    (tmp_path / changed).write_text("another version")
    assert not class_archive.class_archive_is_current(platform.java_home)
    assert not shares_classes(platform)


def test_truncated_archive_is_not_used(archive, platform):
    install_archive(archive, platform.java_home)
    archive.write_text("cla")  # Java would crash on it
    assert not shares_classes(platform)


def test_installation_continues_if_java_cannot_create_an_archive(archive, tmp_path, capsys):
    java_home = fake_jdk(tmp_path / "other jdk", "echo no space for this >&2; exit 1")
    install_archive(archive, java_home)
    class_archive.create_class_archive(java_home)
    assert "Spark jobs will start more slowly" in capsys.readouterr().out
    assert "no space for this" in archive.with_suffix(".log").read_text()
    assert not archive.exists()
    assert not class_archive.class_archive_is_current(java_home)


@pytest.mark.parametrize("content", [None, b"", b"no archive", bytes(100_000)])
def test_java_prints_no_warning_if_the_archive_is_missing_or_invalid(tmp_path, content):
    file = tmp_path / "classes.jsa"
    if content is not None:
        file.write_bytes(content)
    java = find_java_home() / "bin" / "java"
    started = subprocess.run(
        [java, f"-XX:SharedArchiveFile={file}", "-Xlog:cds*=off", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout.startswith(f"openjdk {java_version(java)}.")
    assert started.stderr == ""


@pytest.mark.parametrize(
    ("storage", "megabytes", "option"),
    [
        ("hdfs", 0, "-XX:TieredStopAtLevel=1"),
        ("hdfs", 101, ""),
        ("on another machine", 0, ""),
    ],
)
def test_compiler_depends_on_the_amount_of_data_in_hdfs(tmp_path, storage, megabytes, option):
    (tmp_path / "hdfs" / "data").mkdir(parents=True)
    with (tmp_path / "hdfs" / "data" / "blk_1").open("wb") as block:
        os.posix_fallocate(block.fileno(), 0, max(1, megabytes << 20))
    script = (CONFIGURATION / "spark" / "spark-env.sh").read_text() + 'echo "$SPARK_SUBMIT_OPTS"'
    environment = {"PATH": "/usr/bin:/bin", "VAXPULSE_HDFS_STORAGE": str(tmp_path / storage)}
    shown = subprocess.run(
        ["bash", "-o", "posix", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert (shown.stdout.strip(), shown.stderr) == (option, "")


@pytest.mark.parametrize(("given", "nice"), [({}, 0), ({"VAXPULSE_JOB_NICE": "10"}, 10)])
def test_low_priority_is_inherited_from_the_shell_of_spark_submit(given, nice):
    script = (CONFIGURATION / "spark" / "spark-env.sh").read_text() + "exec nice"
    environment = {"PATH": "/usr/bin:/bin", "VAXPULSE_HDFS_STORAGE": "none"} | given
    shown = subprocess.run(
        ["bash", "-o", "posix", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert (int(shown.stdout), shown.stderr) == (os.nice(0) + nice, "")
