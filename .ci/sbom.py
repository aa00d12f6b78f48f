"""Write a software bill of materials, and compare all licences with .ci/licenses.toml.

    python .ci/sbom.py               # sbom.cdx.json (CycloneDX 1.6) and licenses.csv, of everything
    python .ci/sbom.py --packages    # compare the licences of the Python packages only, and write nothing

The bill contains the Python packages of `.venv` (all extras), the jars of ivy.xml, the jars inside PySpark,
and the base images of the stack. It does not contain the Debian packages in the images.
"""

import argparse
import csv
import fnmatch
import hashlib
import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
POLICY = ".ci/licenses.toml"

Component = dict[str, Any]


def main() -> int:
    """Write the bill and the list, and return 1 if a licence is unknown or not allowed."""
    parser = argparse.ArgumentParser(description="Write a software bill of materials and check all licences.")
    parser.add_argument("--packages", action="store_true", help="check the Python packages, write nothing")
    arguments = parser.parse_args()
    policy = tomllib.loads((PROJECT / POLICY).read_text())
    bill = python_bill()
    checked: list[Component] = list(bill["components"])
    if not arguments.packages:
        checked += jar_components(policy["names"])
        bill["components"] = [*checked, *image_components()]
        pyspark = next(component for component in checked if component["name"] == "pyspark")
        pyspark["components"] = pyspark_jars()
        write_bill(bill, PROJECT / "sbom.cdx.json")
        write_licenses(checked, policy, PROJECT / "licenses.csv")
    problems = [problem for component in checked if (problem := license_problem(component, policy))]
    print("\n".join(problems) or f"the licences of {len(checked)} packages and jars are allowed")
    return int(bool(problems))


def python_bill() -> dict[str, Any]:
    """Return the bill of the installed Python packages, with the licences of their metadata."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--no-validate"]
    command += ["--spec-version", "1.6", "--pyproject", str(PROJECT / "pyproject.toml")]
    command.append(str(PROJECT / ".venv/bin/python"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"sbom: cyclonedx-py failed: {done.stderr}")
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def jar_components(names: dict[str, str]) -> list[Component]:
    """Return the jars of ivy.xml, with the hashes in jars.lock and the licences in their POMs.

    `make install` leaves the POMs in .jars/cache. A POM with several licences lets the user choose.
    """
    lines = (PROJECT / "jars.lock").read_text().splitlines()
    lock = {file: digest for digest, file in map(str.split, lines)}
    classifier = "{http://ant.apache.org/ivy/maven}classifier"
    components = []
    for dependency in ET.parse(PROJECT / "ivy.xml").getroot().iter("dependency"):  # noqa: S314 (our own file)
        group, name, version = (dependency.get(key, "") for key in ("org", "name", "rev"))
        folder = dependency.get("conf", "").partition("->")[0]
        pom = PROJECT / ".jars" / "cache" / group / name / f"ivy-{version}.xml"
        if not pom.exists():
            sys.exit(
                f"sbom: {pom.relative_to(PROJECT)} with the licence of {name} is missing: run make install"
            )
        stated = [license.get("name", "") for license in ET.parse(pom).getroot().iter("license")]  # noqa: S314
        licenses = [{"expression": " OR ".join(names.get(each, each) for each in stated)}] if stated else []
        for artifact in dependency.findall("artifact") or [ET.Element("artifact")]:
            suffix = artifact.get(classifier)
            purl = f"pkg:maven/{group}/{name}@{version}" + (f"?classifier={suffix}" if suffix else "")
            file = f"{folder}/{name}-{version}{f'-{suffix}' if suffix else ''}.jar"
            component = {"type": "library", "bom-ref": purl, "group": group, "name": name, "version": version}
            hashes = [{"alg": "SHA-256", "content": lock[file]}]
            components.append(component | {"purl": purl, "hashes": hashes, "licenses": licenses})
    return components


def pyspark_jars() -> list[Component]:
    """Return the jars in the package pyspark. Its own licence file covers them."""
    folder = next((PROJECT / ".venv/lib").glob("python*/site-packages/pyspark/jars"))
    components = []
    for jar in sorted(folder.glob("*.jar")):
        name, version = re.fullmatch(r"(.+?)(?:-(\d.*))?", jar.stem).groups(default="")  # type: ignore[union-attr]
        component = {"type": "library", "bom-ref": f"pyspark/{jar.name}", "name": name, "version": version}
        component["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(jar.read_bytes()).hexdigest()}]
        with zipfile.ZipFile(jar) as archive:
            properties = re.compile(rf"META-INF/maven/([^/]+)/{re.escape(name)}/pom.properties")
            groups = [found[1] for file in archive.namelist() if (found := properties.fullmatch(file))]
        if groups:
            component |= {"group": groups[0], "purl": f"pkg:maven/{groups[0]}/{name}@{version}"}
        components.append(component)
    return components


def image_components() -> list[Component]:
    """Return the images that the stack's files name, as `name:tag@sha256:digest`."""
    files = [(PROJECT / file).read_text() for file in ("docker-compose.yaml", "docker/Dockerfile")]
    found = re.findall(r"\b([a-z]+):([\w.-]+)@sha256:([0-9a-f]{64})", "\n".join(files))
    return [
        {
            "type": "container",
            "bom-ref": f"image/{name}",
            "name": name,
            "version": tag,
            "purl": f"pkg:oci/{name}@sha256%3A{digest}?repository_url=docker.io/library/{name}&tag={tag}",
        }
        for name, tag, digest in dict.fromkeys(found)
    ]


def stated_license(component: Component, policy: dict[str, Any]) -> str:
    """Return the licence of a component as an SPDX expression, or '' if it states none."""
    name = normalize(component["name"])
    if component.get("purl", "").startswith("pkg:pypi/") and name in policy["packages"]:
        return str(policy["packages"][name])
    entries = (entry.get("license", entry) for entry in component.get("licenses", []))
    words = [entry.get("expression") or entry.get("id") or entry["name"] for entry in entries]
    return " AND ".join(dict.fromkeys(policy["names"].get(each, each) for each in words))


def license_problem(component: Component, policy: dict[str, Any]) -> str:
    """Return what to do about the licence of a component, or '' if it is allowed.

    Parentheses are not evaluated: an expression that has some is not allowed.
    """
    if any(fnmatch.fnmatch(normalize(component["name"]), pattern) for pattern in policy["accepted"]):
        return ""
    title, stated = f"{component['name']} {component['version']}", stated_license(component, policy)
    if not stated:
        return f"{title} states no licence: read its files and add the licence to [packages] in {POLICY}"
    choices = [re.split(r"\s+AND\s+", choice) for choice in re.split(r"\s+OR\s+", stated)]
    if any(set(choice) <= set(policy["allowed"]) for choice in choices):
        return ""
    return (
        f"{title} has the licence {stated!r}, which {POLICY} does not allow: replace the dependency, or "
        "read the licence and add it to `allowed`, [names] or [accepted]"
    )


def normalize(name: str) -> str:
    """Return a package's name in the form of PEP 503, except that a jar keeps its dots."""
    return name.lower().replace("_", "-")


def write_bill(bill: dict[str, Any], file: Path) -> None:
    """Validate a bill against the schema of CycloneDX and write it."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = json.dumps(bill, indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"sbom: the bill is no valid CycloneDX: {error}")
    file.write_text(text)


def write_licenses(components: list[Component], policy: dict[str, Any], file: Path) -> None:
    """Write a table with the licence of each package and jar."""
    with file.open("w", newline="") as output:
        table = csv.writer(output)
        table.writerow(["name", "version", "licence"])
        for component in sorted(components, key=lambda each: normalize(each["name"])):
            table.writerow([component["name"], component["version"], stated_license(component, policy)])


if __name__ == "__main__":
    sys.exit(main())
