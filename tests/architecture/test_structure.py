"""Rules for the structure of the repository that no linter checks. Import rules are in .importlinter."""

import configparser
import re
import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MAX_MODULE_LINES = 300
MAX_DAG_LINES = 120
MAX_MODULES_PER_FOLDER = 14
MAX_DAGS = 20  # one file per DAG, in the folder that Airflow reads
# Folders with single scripts, which no module imports.
SCRIPT_FOLDERS = {"docker", "docs"}

MODULES = sorted(
    path.relative_to(REPOSITORY)
    for path in REPOSITORY.glob("[a-z]*/**/*.py")
    if path.relative_to(REPOSITORY).parts[0] != "tests"
)
FOLDERS = sorted({module.parent for module in MODULES})
DAG_FILES = [module for module in MODULES if module.parent == Path("dags")]


def count_lines(module: Path) -> int:
    return len((REPOSITORY / module).read_text(encoding="utf-8").splitlines())


def test_the_searched_folders_contain_modules():
    assert len(MODULES) > 100
    assert len(DAG_FILES) >= 9


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_is_short(module):
    assert count_lines(module) <= MAX_MODULE_LINES


@pytest.mark.parametrize("dag_file", DAG_FILES, ids=str)
def test_dag_file_is_short(dag_file):
    assert count_lines(dag_file) <= MAX_DAG_LINES


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_folder_has_few_modules(folder):
    modules = [module.name for module in MODULES if module.parent == folder and module.name != "__init__.py"]
    limit = MAX_DAGS if folder == Path("dags") else MAX_MODULES_PER_FOLDER
    assert len(modules) <= limit, modules


def test_every_package_has_import_rules():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / ".importlinter")
    packages = {module.parts[0] for module in MODULES} - {"plugins", *SCRIPT_FOLDERS}
    packages |= {
        module.parts[1] for module in MODULES if module.parts[0] in {"plugins", "dags"} and module.parts[2:]
    }
    assert set(config["importlinter"]["root_packages"].split()) == packages
    layers = config["importlinter:contract:layers"]["layers"].replace("|", " ").split()
    assert set(layers) == packages
    # DAG files do not import each other, so that `dags` itself has no cycle.
    assert set(config["importlinter:contract:cycles"]["ancestors"].split()) == packages - {"dags"}


def test_no_test_replaces_a_function_of_the_module_time():
    """Such a replacement applies to all threads of the process, and some call `time.sleep` in a loop.

    py4j does so while a Spark session exists. A list as `time.sleep` got millions of entries that way.
    """
    replacement = re.compile(r"""(setattr|patch|patch\.object)\(\s*(["'][\w.]*\btime\.\w|(\w+\.)*time,)""")
    found = [
        str(file.relative_to(REPOSITORY))
        for file in (REPOSITORY / "tests").rglob("*.py")
        if replacement.search(file.read_text(encoding="utf-8"))
    ]
    assert not found, "replace the name `time` in the module under test instead"


def test_imports_of_every_folder_are_compared_with_an_extra():
    folders = runpy.run_path(str(REPOSITORY / ".ci/undeclared_imports.py"))["FOLDERS"]
    checked = {folder for folders_of_extra in folders.values() for folder in folders_of_extra}
    assert {module.parts[0] for module in MODULES} - SCRIPT_FOLDERS <= checked
