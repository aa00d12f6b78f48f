"""`up`, `status` and `down` against a FABlib that fails at random steps: repeated calls reach the goal."""

import contextlib
import hashlib
import json

import pytest
import yaml

from deploy.common.errors import CommandError
from deploy.fabric import converge, environment, machines
from deploy.fabric.adapter import Testbed
from deploy.fabric.planning import hosts_file, make_plan
from deploy.fabric.project import Archive
from deploy.fabric.specification import load
from tests.fabric.conftest import SPECIFICATIONS, load_plan
from tests.fabric.fake_fablib import FablibManager, World

MAX_CALLS = 300
# Of a failure at each of up to four places in a call. With 0.05 every fifth command fails.
CHANCES = [0.0, 0.02, 0.05]


def yes(_):
    return True


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "project.tar.gz"
    path.write_bytes(b"the files of a commit" * 100)
    return Archive(path, "c0ffee", hashlib.sha256(path.read_bytes()).hexdigest())


def open_testbed(world):
    testbed = Testbed(FablibManager(world))
    testbed.wait_seconds, testbed.poll_seconds = 5, 0
    return testbed


def repeat(action):
    """Call an action until it succeeds, and return the number of calls."""
    for number in range(1, MAX_CALLS):
        try:
            action()
        except CommandError:
            continue
        return number
    raise AssertionError(f"not done after {MAX_CALLS} calls")


def assert_complete(world, plan, archive):
    """Check the state of all machines."""
    [active] = world.slices
    secrets = environment.load_or_create_secrets(plan)
    for host, node in zip(plan.hosts, active.nodes, strict=True):
        machine = node.machine
        assert str(host.address) in machine.addresses
        assert machine.healthy
        assert machine.running == machine.built == machine.release == archive.sha256
        assert machine.gpu_driver == (host.gpu is not None)
        assert machine.hosts.decode() == hosts_file(plan)
        expected = environment.host_environment(plan, host, secrets, archive.commit)
        assert machine.settings.decode() == environment.to_text(expected)


@pytest.mark.parametrize("chance", CHANCES)
@pytest.mark.parametrize("seed", range(6))
def test_repeated_calls_reach_the_goal_and_leave_nothing(seed, chance, archive, home, capsys):
    world, plan = World(seed, chance), load_plan("3")
    calls = repeat(lambda: converge.up(open_testbed(world), plan, archive, yes))
    assert (calls == 1) == (chance == 0)
    assert world.submitted == 1
    assert_complete(world, plan, archive)
    repeat(lambda: converge.down(open_testbed(world), plan, yes))
    assert world.slices == []
    assert not environment.state_folder(plan).exists()


@pytest.mark.parametrize("seed", range(10))
def test_interrupted_slice_is_deleted(seed, archive, capsys):
    world, plan = World(seed, 0.1), load_plan("1")
    for _ in range(seed):
        with contextlib.suppress(CommandError):
            converge.up(open_testbed(world), plan, archive, yes)
    repeat(lambda: converge.down(open_testbed(world), plan, yes))
    assert world.slices == []
    assert not environment.state_folder(plan).exists()


def test_second_up_changes_nothing_and_asks_nothing(archive, capsys):
    world, plan = World(), load_plan("3")
    converge.up(open_testbed(world), plan, archive, yes)
    world.calls.clear()

    def refuse(question):
        raise AssertionError(question)

    converge.up(open_testbed(world), plan, archive, refuse)
    assert {call[0] for call in world.calls} == {"get_slices", "wait", "wait_ssh", "execute"}
    assert world.count("execute") == len(plan.hosts)  # the report of each
    assert_complete(world, plan, archive)


def test_new_commit_is_installed_and_started(archive, tmp_path, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    archive.path.write_bytes(b"the next commit")
    changed = Archive(archive.path, "beef", hashlib.sha256(b"the next commit").hexdigest())
    converge.up(open_testbed(world), plan, changed, yes)
    assert_complete(world, plan, changed)
    assert world.submitted == 1


def test_nothing_is_requested_without_consent(archive, capsys):
    world = World()
    with pytest.raises(CommandError, match="nothing was created"):
        converge.up(open_testbed(world), load_plan("3"), archive, lambda _: False)
    assert world.count("submit") == 0
    assert "672 core hours, 24 GPU hours" in capsys.readouterr().out


def test_nothing_is_deleted_without_consent(archive, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    with pytest.raises(CommandError, match="nothing was deleted"):
        converge.down(open_testbed(world), plan, lambda _: False)
    assert len(world.slices) == 1
    assert environment.secrets_file(plan).exists()


def test_site_that_fabric_does_not_have_today_is_not_requested(archive, capsys):
    world = World()
    with pytest.raises(CommandError, match="site: FABRIC has no site UCSD today"):
        converge.up(open_testbed(world), load_plan("10"), archive, yes)
    assert world.count("submit") == 0


def test_slice_that_fabric_cannot_create_is_explained(archive, capsys):
    world, plan = World(fails_to_allocate=True), load_plan("1")
    for _ in range(2):
        with pytest.raises(CommandError, match="Insufficient resources"):
            converge.up(open_testbed(world), plan, archive, yes)
    assert world.submitted == 1
    assert converge.status(open_testbed(world), plan).endswith("run `down`, then `up`\n")
    converge.down(open_testbed(world), plan, yes)
    world.fails_to_allocate = False
    converge.up(open_testbed(world), plan, archive, yes)
    assert_complete(world, plan, archive)


def test_slice_with_other_machines_is_not_changed(archive, tmp_path, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    content = yaml.safe_load((SPECIFICATIONS / "1.yaml").read_text())
    content["workers"] |= {"datanodes": 2, "cores": 4}
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(CommandError, match="the slice differs from the specification in worker-1, worker-2"):
        converge.up(open_testbed(world), make_plan(load(file)), archive, yes)


def test_lost_secrets_are_not_replaced(archive, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    environment.forget(plan)
    with pytest.raises(CommandError, match=r"secrets\.env is missing: copy it from the machine"):
        converge.up(open_testbed(world), plan, archive, yes)


def test_slice_with_another_name_is_not_touched(archive, capsys):
    world, plan, other = World(), load_plan("1"), load_plan("3")
    other_slice = FablibManager(world).new_slice("vaxpulse-other")
    other_slice.state = "StableOK"
    world.slices.append(other_slice)
    assert converge.status(open_testbed(world), other) == "there is no slice vaxpulse\n"
    converge.down(open_testbed(world), plan, yes)
    assert world.slices == [other_slice]


def test_status_shows_each_machine_and_changes_nothing(archive, capsys):
    world, plan = World(), load_plan("3")
    testbed = open_testbed(world)
    assert converge.status(testbed, plan) == "there is no slice vaxpulse\n"
    converge.up(testbed, plan, archive, yes)
    world.slices[0].nodes[2].machine.healthy = False
    world.slices[0].nodes[3].machine.addresses.pop()
    world.calls.clear()
    assert converge.status(testbed, plan) == (
        "slice vaxpulse: StableOK, lease until 2026-12-01 12:00:00 +0000\n"
        "host      services                address       docker  healthy  problem\n"
        "--------  ----------------------  ------------  ------  -------  -----------------------------\n"
        "head      head                    192.168.77.1  20.10   2 of 2\n"
        "training  training                192.168.77.2  20.10   2 of 2\n"
        "worker-1  datanode, spark-worker  192.168.77.3  20.10   0 of 2   datanode spark-worker\n"
        "worker-2  datanode, spark-worker  192.168.77.4  20.10   2 of 2   the address is not configured\n"
        "worker-3  datanode, spark-worker  192.168.77.5  20.10   2 of 2\n"
    )
    commands = {call[2].split(";")[0] for call in world.calls if call[0] == "execute"}
    assert commands == {"sudo bash vaxpulse-setup/report.sh"}


def test_status_shows_a_machine_that_does_not_respond(archive, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    world.chance = 1.0
    row = converge.describe_machine(machines.Machine(plan.hosts[2], world.slices[0].nodes[2]))
    assert row[:3] == ("worker-1", "datanode, spark-worker", "10.20.30.3")
    assert "connection failed" in row[-1]


def test_secrets_are_in_no_command_and_only_where_they_are_used(archive, home, capsys):
    world, plan = World(), load_plan("3")
    converge.up(open_testbed(world), plan, archive, yes)
    secrets = environment.load_or_create_secrets(plan)
    first_day = secrets.pop("VAXPULSE_START_DATE")
    assert first_day
    printed = capsys.readouterr().out + json.dumps(world.calls, default=str)
    assert not [name for name, value in secrets.items() if value in printed]
    found = {
        node.name: {name for name, value in secrets.items() if value in node.machine.settings.decode()}
        for node in world.slices[0].nodes
    }
    assert found.pop("head") == set(secrets)
    assert found.pop("training") == environment.SECRETS["training"]
    assert {frozenset(names) for names in found.values()} == {frozenset({"DATANODE_HEADER"})}


def test_files_with_secrets_are_private(archive, home, capsys):
    world, plan = World(), load_plan("1")
    converge.up(open_testbed(world), plan, archive, yes)
    folder = environment.state_folder(plan)
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    for node in world.slices[0].nodes:
        assert node.machine.modes["vaxpulse-setup/env"] == 0o600


def test_pages_are_reached_through_a_tunnel(archive, capsys):
    converge.up(open_testbed(World()), load_plan("3"), archive, yes)
    shown = capsys.readouterr().out
    assert "ssh debian@head -N -L 8080:192.168.77.1:8080 -L 5000:192.168.77.1:5000" in shown
    assert "Airflow               http://127.0.0.1:8080" in shown
