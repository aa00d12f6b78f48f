"""The fakes, the recorded names and the topologies agree with the real FABlib, without a network."""

import dataclasses
import itertools
import json
import re
import subprocess

import pytest

from deploy.common.checkout import REPOSITORY
from deploy.fabric.catalog import RECORDED
from tests.fabric.conftest import SPECIFICATIONS, compare_with_golden

PYTHON = REPOSITORY / ".fabric" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not (PYTHON.parents[1] / ".lock-sha256").exists(),
    reason="FABlib is not installed: `make test-fabric` installs it into .fabric",
)


@pytest.fixture(scope="module")
def fablib():
    """Facts about the real FABlib. One process, because the import of FABlib takes seconds."""
    files = sorted(map(str, SPECIFICATIONS.glob("*.yaml")))
    command = [PYTHON, "-m", "tests.fabric.real_fablib", *files]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_method_of_the_fakes_has_the_signature_of_the_real_one(fablib):
    assert len(fablib["real"]) >= 25
    assert fablib["fake"] == fablib["real"]


def test_recorded_names_and_sizes_are_those_of_fablib(fablib):
    recorded = dataclasses.asdict(RECORDED)
    for name, value in fablib["catalog"].items():
        assert (sorted(recorded[name]) if isinstance(value, list) else recorded[name]) == value, name


@pytest.mark.parametrize("workers", ["1", "3", "10"])
def test_topology_equals_the_golden_file(fablib, workers):
    compare_with_golden(
        f"plan-{workers}.graphml", replace_ids(fablib["plans"][workers]["files"]["plan.graphml"])
    )


@pytest.mark.parametrize("workers", ["1", "3", "10"])
def test_plan_prints_and_writes_the_same_text_and_picture(fablib, workers):
    plan = fablib["plans"][workers]
    assert set(plan["files"]) == {"plan.txt", "plan.svg", "plan.graphml"}
    compare_with_golden(f"plan-{workers}.txt", plan["files"]["plan.txt"])
    compare_with_golden(f"plan-{workers}.svg", plan["files"]["plan.svg"])
    assert plan["files"]["plan.txt"] in plan["printed"]
    assert "`up` would:\n  1. create the slice" in plan["printed"]


def replace_ids(graphml):
    """Replace the random ids of FABlib by numbers in the order of their first use."""
    numbers, counter = {}, itertools.count(1)
    uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

    def number(match):
        if match.group() not in numbers:
            numbers[match.group()] = f"id-{next(counter)}"
        return numbers[match.group()]

    return uuid.sub(number, graphml)
