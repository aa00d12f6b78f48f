"""Rules of the HDFS daemons against requests of web pages. The integration tests send such requests."""

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploy.common.checkout import CONFIGURATION
from deploy.embedded import housekeeping
from deploy.embedded import settings as settings_module
from deploy.embedded.services import SERVICES
from deploy.embedded.settings import DEFAULT_PORTS, Settings
from deploy.installation.web_applications import copy_web_applications

SERVER = "org.apache.hadoop.hdfs.server"
PREFIX = "dfs.webhdfs.rest-csrf."


def properties(file: Path) -> dict[str, str]:
    """Return the properties of a Hadoop configuration file and of the files that it includes."""
    root, found = ElementTree.parse(file).getroot(), {}
    for element in root:
        if element.tag.endswith("include"):
            found |= properties(file.parent / element.get("href"))
        else:
            found[element.findtext("name")] = element.findtext("value")
    return found


def test_namenode_rejects_changes_of_browsers_without_the_header() -> None:
    found = properties(CONFIGURATION / "hadoop" / "hdfs-site.xml")
    assert {name: value for name, value in found.items() if name.startswith(PREFIX)} == {
        f"{PREFIX}enabled": "true"
    }


def test_datanode_requires_a_secret_header_of_every_request() -> None:
    found = properties(CONFIGURATION / "datanode" / "hdfs-site.xml")
    assert {name: value for name, value in found.items() if name.startswith(PREFIX)} == {
        f"{PREFIX}enabled": "true",
        f"{PREFIX}custom-header": "${env.VAXPULSE_DATANODE_HEADER}",
        f"{PREFIX}methods-to-ignore": "NONE",
        f"{PREFIX}browser-useragents-regex": ".*",
    }
    assert found["dfs.datanode.http.address"]  # of the included file


def test_namenode_answers_to_its_own_host_names_only() -> None:
    items = ElementTree.parse(CONFIGURATION / "namenode" / "WEB-INF" / "jetty-web.xml").iter("Item")
    names = [item.text or item.find("Env").get("name") for item in items]
    assert names == ["127.0.0.1", "localhost", "namenode", "VAXPULSE_PUBLIC_HOST"]


def test_web_applications_are_copied_with_the_rules(tmp_path) -> None:
    (tmp_path / "hdfs").mkdir()
    with zipfile.ZipFile(tmp_path / "hdfs" / "hadoop-hdfs-3.5.0-tests.jar", "w") as jar:
        jar.writestr("webapps/hdfs/explorer.html", "page")
        jar.writestr("webapps/hdfs/WEB-INF/web.xml", "without rules")
        jar.writestr("org/apache/Test.class", "")
    for _ in range(2):  # each start repeats it
        copy_web_applications(tmp_path / "out", tmp_path)
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*ml")}
    folder = "webapps/hdfs/WEB-INF"
    assert files == {"webapps/hdfs/explorer.html", f"{folder}/web.xml", f"{folder}/jetty-web.xml"}
    assert "RestCsrfPreventionFilter" in (tmp_path / "out" / folder / "web.xml").read_text()


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    found = Settings(tmp_path, DEFAULT_PORTS)
    monkeypatch.setitem(found.__dict__, "java_home", tmp_path)
    monkeypatch.setattr(settings_module, "class_archive_is_current", lambda _: False)
    return found


@pytest.mark.parametrize(("daemon", "rules"), [("namenode", "conf/namenode"), ("datanode", "conf/datanode")])
def test_rules_of_a_daemon_precede_the_jars_on_its_class_path(settings, daemon, rules) -> None:
    command = SERVICES[daemon].command(settings)
    # Hadoop reads the first hdfs-site.xml and the first webapps/ of the class path.
    first, *others = command[command.index("-cp") + 1].split(":")
    assert first.endswith(rules)
    assert [Path(other).parent.name for other in others] == ["conf", "hdfs"]


def test_daily_checkpoint_reads_the_common_configuration(settings) -> None:
    command = housekeeping.commands(settings)["checkpoint"]
    assert command[-3:] == [f"{SERVER}.namenode.SecondaryNameNode", "-checkpoint", "force"]
    folders = command[command.index("-cp") + 1].split(":")
    assert [Path(folder).parent.name for folder in folders] == ["conf", "hdfs"]


def test_platform_of_an_earlier_version_gets_the_missing_secret(settings) -> None:
    file = settings.folder("run") / "secrets.json"
    file.write_text(json.dumps({"airflow_password": "existing"}))
    found = settings.secrets
    assert found["airflow_password"] == "existing"
    assert found["datanode_header"].startswith("X-")
    assert json.loads(file.read_text()) == found == Settings(settings.home, DEFAULT_PORTS).secrets
    assert file.stat().st_mode & 0o777 == 0o600
