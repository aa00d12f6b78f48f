"""Install the jars of ivy.xml and verify them with jars.lock."""

import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

from deploy.common.checkout import ENVIRONMENT, JARS, REPOSITORY, site_packages
from deploy.common.errors import CommandError
from deploy.installation.downloads import explain_download_failure
from deploy.installation.locks import mark_current, sha256

CONFIGURATIONS = ("hdfs", "arrow", "spark", "scoring")  # of ivy.xml; each is a folder in JARS


def install_jars(java_home: Path) -> None:
    """Download the jars of ivy.xml with the Ivy inside PySpark, and compare all of them with jars.lock."""
    fetch_jars(java_home, JARS)
    lock = (REPOSITORY / "jars.lock").read_text().splitlines()
    expected = {name: digest for digest, name in map(str.split, lock)}
    found = {str(jar.relative_to(JARS)): sha256(jar) for jar in JARS.glob("*/*.jar")}
    for name in found.keys() - expected.keys():
        (JARS / name).unlink()  # Ivy does not remove the jars of an older lock
    wrong = sorted(name for name in expected if found.get(name) != expected[name])
    if wrong:
        for name in wrong:
            (JARS / name).unlink(missing_ok=True)
        raise CommandError(
            f"these jars are missing or differ from jars.lock: {', '.join(wrong)}; run it again, "
            "and if they still differ, do not trust the mirror"
        )
    mark_current(JARS, "jars.lock")


def lock_jars(java_home: Path) -> None:
    """Download the jars of ivy.xml and write their SHA-256 to jars.lock."""
    for configuration in CONFIGURATIONS:
        shutil.rmtree(JARS / configuration, ignore_errors=True)
    fetch_jars(java_home, JARS)
    jars = {str(jar.relative_to(JARS)): sha256(jar) for jar in JARS.glob("*/*.jar")}
    lines = (f"{digest}  {name}\n" for name, digest in sorted(jars.items()))
    (REPOSITORY / "jars.lock").write_text("".join(lines))
    mark_current(JARS, "jars.lock")


def fetch_jars(java_home: Path, destination: Path) -> None:
    """Run Ivy on ivy.xml. Its cache in `destination`/cache lets an interrupted download continue."""
    destination.mkdir(exist_ok=True)
    ivy = next((site_packages() / "pyspark" / "jars").glob("ivy-*.jar"))
    settings = REPOSITORY / "ivysettings.xml"  # optional: settings for a mirror
    pattern = f"{destination}/[conf]/[artifact]-[revision](-[classifier]).[ext]"
    command = [
        java_home / "bin" / "java",
        *trust_store_options(destination),
        *proxy_options(),
        *("-cp", ivy, "org.apache.ivy.Main"),
        *("-cache", destination / "cache", "-ivy", REPOSITORY / "ivy.xml"),
        *(("-settings", settings) if settings.exists() else ()),
        *("-confs", *CONFIGURATIONS, "-retrieve", pattern),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    (destination / "ivy.log").write_text(finished.stdout + finished.stderr)
    # Ivy's exit status may be 0 although a file is missing. Then the comparison with jars.lock fails.
    if finished.returncode or "UNRESOLVED DEPENDENCIES" in finished.stdout:
        raise CommandError(explain_download_failure(finished.stdout + finished.stderr))


def proxy_options() -> list[str]:
    """Return options for the proxies in HTTP_PROXY, HTTPS_PROXY and NO_PROXY, which Java does not read."""
    proxies = urllib.request.getproxies_environment()
    options = []
    for scheme in ("http", "https"):
        if proxy := proxies.get(scheme):
            parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    direct = [host.strip().lstrip(".") for host in proxies.get("no", "").split(",") if host.strip()]
    # In NO_PROXY a name includes its subdomains.
    patterns = ["*"] if "*" in direct else [pattern for host in direct for pattern in (host, f"*.{host}")]
    return [*options, f"-Dhttp.nonProxyHosts={'|'.join(patterns)}"] if patterns else options


def trust_store_options(destination: Path) -> list[str]:
    """Return options that make Java trust the certificate authorities of OpenSSL (SSL_CERT_FILE is used).

    A bundled JDK trusts public authorities only, which is not enough behind the proxy of a company.
    """
    bundle = ssl.get_default_verify_paths().cafile
    if not bundle:
        return []
    store = destination / "truststore.p12"
    program = Path(__file__).with_name("trust_store.py")  # needs a library in `.venv`
    python = ENVIRONMENT / "bin" / "python"
    finished = subprocess.run([python, program, bundle, store], capture_output=True, text=True, check=False)
    if finished.returncode:
        cause = finished.stderr.strip().splitlines()[-1]
        raise CommandError(f"cannot convert the certificate authorities in {bundle} for Java: {cause}")
    return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
