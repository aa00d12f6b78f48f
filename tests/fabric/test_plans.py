"""Plans of 1, 3 and 10 workers equal golden files. Wrong specifications give errors that name the field."""

import xml.etree.ElementTree as ET

import pytest
import yaml

from deploy.common.errors import CommandError
from deploy.fabric import environment, rendering
from deploy.fabric.__main__ import DEFAULT_SPECIFICATION
from deploy.fabric.planning import hosts_file, make_plan
from deploy.fabric.specification import load
from tests.fabric.conftest import SPECIFICATIONS, compare_with_golden, load_plan

SIZES = ["1", "3", "10"]


@pytest.mark.parametrize("workers", SIZES)
def test_text_equals_the_golden_file(workers):
    compare_with_golden(f"plan-{workers}.txt", rendering.describe(load_plan(workers)))


@pytest.mark.parametrize("workers", SIZES)
def test_picture_equals_the_golden_file(workers):
    picture = rendering.draw(load_plan(workers))
    ET.fromstring(picture)
    compare_with_golden(f"plan-{workers}.svg", picture)


@pytest.mark.parametrize("workers", SIZES)
def test_hosts_file_equals_the_golden_file(workers):
    compare_with_golden(f"hosts-{workers}.txt", hosts_file(load_plan(workers)))


@pytest.mark.parametrize("workers", SIZES)
def test_settings_of_each_host_equal_the_golden_file(workers):
    plan = load_plan(workers)
    secrets = dict.fromkeys(environment.load_or_create_secrets(plan), "<secret>")
    secrets["VAXPULSE_START_DATE"] = "2026-12-01"
    texts = [
        f"# {host.name}\n{environment.to_text(environment.host_environment(plan, host, secrets, 'abc'))}"
        for host in plan.hosts
    ]
    compare_with_golden(f"settings-{workers}.txt", "\n".join(texts))


def test_steps_name_the_hosts():
    assert (
        rendering.steps(load_plan("3"))[3]
        == "start DataNodes and Spark workers on worker-1, worker-2, worker-3"
    )


def test_default_specification_is_the_slice_with_three_workers():
    assert make_plan(load(DEFAULT_SPECIFICATION)) == load_plan("3")


def test_addresses_stay_if_workers_are_added():
    few, many = (
        {host.name: host.ip for host in load_changed({"workers": {"datanodes": count}}).hosts}
        for count in (3, 9)
    )
    assert few.items() <= many.items()
    assert len(set(many.values())) == len(many) == 11


CONTENT = yaml.safe_load((SPECIFICATIONS / "3.yaml").read_text())
FILE = {}  # the file of the running test


@pytest.fixture(autouse=True)
def file(tmp_path):
    FILE["path"] = tmp_path / "slice.yaml"


def load_changed(changes):
    """Return the plan of the slice with three workers and some changed fields."""
    content = {
        name: ({**value, **changes.get(name, {})} if isinstance(value, dict) else changes.get(name, value))
        for name, value in CONTENT.items()
    }
    content |= {name: value for name, value in changes.items() if name not in content}
    FILE["path"].write_text(yaml.safe_dump(content))
    return make_plan(load(FILE["path"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"site": "STRA"}, r"site: 'STRA' is no site of FABRIC .*: did you mean STAR"),
        ({"image": "debian_13"}, "image: 'debian_13' is no image of FABRIC: did you mean default_debian"),
        ({"image": "default_rocky_9"}, "image: default_rocky_9 is not supported: choose default_debian_12, "),
        ({"training": {"gpu": "GPU_H100"}}, r"training\.gpu: 'GPU_H100' is no GPU model: did you mean GPU_A"),
        ({"training": {"gpu": "NIC_Basic"}}, r"training\.gpu: 'NIC_Basic' is no GPU model"),
        ({"workers": {"cores": 128}}, r"workers\.cores: 128 is too large: .* of FABRIC has 64"),
        ({"head": {"memory_gb": 1024}}, r"head\.memory_gb: 1024 is too large: .* has 256"),
        ({"training": {"disk_gb": 4000}}, r"training\.disk_gb: 4000 is too large: .* has 1000"),
        ({"head": {"memory_gb": 4}}, r"head\.memory_gb: Input should be greater than or equal to 16"),
        ({"workers": {"cores": -1}}, r"workers\.cores: Input should be greater than or equal to 2"),
        ({"workers": {"cores": "many"}}, r"workers\.cores: Input should be a valid integer"),
        ({"workers": {"datanodes": 0}}, r"workers\.datanodes: Input should be greater than or equal to 1"),
        ({"workers": {"spark_workers": 1000}}, r"workers\.spark_workers: .* less than or equal to 100"),
        ({"lease_hours": 0}, "lease_hours: Input should be greater than or equal to 1"),
        ({"lease_hours": 1000}, "lease_hours: Input should be less than or equal to 336"),
        ({"name": "Bad name"}, "name: String should match pattern"),
        ({"network": {"subnet": "192.168.77.0/30"}}, r"network: subnet: .*/30 has 2 addresses, .* 5 hosts"),
        ({"network": {"subnet": "192.168.77.1/24"}}, r"network\.subnet: Input is not a valid IPv4 network"),
        ({"network": {"subnet": "8.8.8.0/24"}}, r"network\.subnet: 8\.8\.8\.0/24 is not private"),
        ({"workers": {"core": 2}}, r"workers\.core: Extra inputs are not permitted"),
        ({"gpu": "GPU_A30"}, "gpu: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_wrong_field_is_named(changes, message):
    with pytest.raises(CommandError, match=message):
        load_changed(changes)


def test_all_wrong_fields_are_reported_at_once():
    with pytest.raises(CommandError) as raised:
        load_changed({"site": "NOWHERE", "workers": {"cores": 128}, "training": {"gpu": "GPU_X"}})
    lines = str(raised.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:]] == ["site", "workers.cores", "training.gpu"]


def test_missing_field_is_named():
    FILE["path"].write_text("name: vaxpulse\n")
    with pytest.raises(CommandError, match=r"site: Field required"):
        load(FILE["path"])


@pytest.mark.parametrize(("text", "message"), [("a: [", "is not YAML"), ("", "file: Input should be")])
def test_file_that_is_no_specification_is_reported(text, message):
    FILE["path"].write_text(text)
    with pytest.raises(CommandError, match=message):
        load(FILE["path"])


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(CommandError, match="cannot read the specification"):
        load(tmp_path / "none.yaml")
