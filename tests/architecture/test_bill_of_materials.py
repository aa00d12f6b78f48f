"""The bill of materials contains every jar and base image, and an unknown licence is an error."""

import fnmatch
import re
import runpy
import shutil
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SBOM = runpy.run_path(str(REPOSITORY / ".ci/sbom.py"))
POLICY = tomllib.loads((REPOSITORY / ".ci/licenses.toml").read_text())
POM = '<ivy-module version="2.0"><info>{}</info></ivy-module>'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout whose POMs state two licences."""
    for name in ("ivy.xml", "jars.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    for dependency in ET.parse(tmp_path / "ivy.xml").getroot().iter("dependency"):
        pom = tmp_path / ".jars/cache" / dependency.get("org") / dependency.get("name")
        pom.mkdir(parents=True, exist_ok=True)
        licenses = '<license name="EPL 2.0"/><license name="GPL2 w/ CPE"/>'
        (pom / f"ivy-{dependency.get('rev')}.xml").write_text(POM.format(licenses))
    monkeypatch.setitem(SBOM["jar_components"].__globals__, "PROJECT", tmp_path)
    return tmp_path


def package(name, *licenses):
    return {"name": name, "version": "1.0", "purl": f"pkg:pypi/{name}@1.0", "licenses": list(licenses)}


def problem(component):
    return SBOM["license_problem"](component, POLICY)


def test_every_jar_of_the_lock_is_in_the_bill_with_its_hash(project):
    components = SBOM["jar_components"](POLICY["names"])
    locked = [line.split()[0] for line in (project / "jars.lock").read_text().splitlines()]
    assert sorted(component["hashes"][0]["content"] for component in components) == sorted(locked)
    assert len({component["purl"] for component in components}) == len(components)
    assert "pkg:maven/io.delta/delta-spark_2.12@3.3.3" in {component["purl"] for component in components}


def test_user_chooses_one_of_the_licences_in_a_pom(project):
    components = SBOM["jar_components"](POLICY["names"])
    assert components[0]["licenses"] == [{"expression": "EPL-2.0 OR GPL2 w/ CPE"}]
    assert problem(components[0]) == ""


def test_missing_pom_is_an_error_with_advice(project):
    shutil.rmtree(project / ".jars/cache/io.delta")
    with pytest.raises(SystemExit, match=r"licence of delta-spark_2\.12 is missing: run make install"):
        SBOM["jar_components"](POLICY["names"])


def test_base_images_are_in_the_bill_with_their_digests():
    images = {image["name"]: image["purl"] for image in SBOM["image_components"]()}
    assert set(images) == {"debian", "postgres", "redis"}
    compose = (REPOSITORY / "docker-compose.yaml").read_text()
    digest = re.search(r"redis:7-bookworm@sha256:(\w+)", compose)[1]
    assert f"@sha256%3A{digest}?" in images["redis"]


@pytest.mark.parametrize(
    "licenses",
    [
        [{"license": {"id": "MIT"}}],
        [{"expression": "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND MIT"}],
        [{"expression": "AGPL-3.0-only OR MIT"}],
        [
            {"license": {"name": "License :: OSI Approved :: BSD License"}},
            {"license": {"id": "BSD-3-Clause"}},
        ],
    ],
)
def test_allowed_licence_is_no_problem(licenses):
    assert problem(package("some-package", *licenses)) == ""


@pytest.mark.parametrize(
    ("licenses", "stated"),
    [
        ([{"license": {"id": "AGPL-3.0-only"}}], "AGPL-3.0-only"),
        ([{"expression": "MIT AND AGPL-3.0-only"}], "MIT AND AGPL-3.0-only"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "Other"}}], "MIT AND Other"),
        ([{"expression": "(MIT OR ISC) AND Zlib"}], "(MIT OR ISC) AND Zlib"),
        ([{"expression": "Apache-2.0 WITH another exception"}], "Apache-2.0 WITH another exception"),
    ],
)
def test_licence_that_is_not_allowed_is_an_error_with_advice(licenses, stated):
    message = problem(package("some-package", *licenses))
    assert message.startswith(
        f"some-package 1.0 has the licence {stated!r}, which .ci/licenses.toml does not"
    )
    assert "replace the dependency, or read the licence" in message


def test_package_without_a_licence_is_an_error_until_the_policy_has_one():
    assert "some-package 1.0 states no licence: read its files" in problem(package("some-package"))
    assert problem(package("py_rust_stemmers")) == ""


def test_words_for_packages_do_not_apply_to_jars():
    assert problem(package("protobuf")) == ""
    assert "states no licence" in problem(package("protobuf") | {"purl": "pkg:maven/com.google/protobuf@1.0"})


def test_policy_names_only_dependencies():
    lock = (REPOSITORY / "requirements.txt").read_text()
    names = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    names |= {each.get("name") for each in ET.parse(REPOSITORY / "ivy.xml").getroot().iter("dependency")}
    patterns = [*POLICY["packages"], *POLICY["accepted"]]
    assert [pattern for pattern in patterns if not fnmatch.filter(names, pattern)] == []
