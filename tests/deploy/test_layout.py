"""Each fact has one place: paths in HDFS in contracts/, shared code of the deployments in deploy/common."""

import ast
import re
import subprocess

from deploy.common.checkout import REPOSITORY

HDFS_PATH = re.compile(r"/vaxpulse/(landing|delivered|raw|tables|reports|models|spark-events)\b")
# Not in HDFS: the checkout in the images, and the page of reports in Airflow.
OTHER_PATH = re.compile(r"""/opt/vaxpulse/\w+|({api\.url}|{urls\['airflow'\]})/vaxpulse/reports""")
# Documentation, and tests with expected values that are independent of contracts.
EXCEPTIONS = (
    "contracts/",
    "docs/",
    "tests/contracts/",
    "tests/dags/",
    "tests/plugins/",
    "tests/stack/",
    "tests/deploy/test_layout.py",
)


def tracked_files():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=REPOSITORY, text=True).splitlines()
    return [name for name in names if (REPOSITORY / name).is_file()]


def docstring_lines(source):
    """Return the numbers of the lines in docstrings: examples there may contain a path."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, owners)]
    docstrings = [node.body[0] for node in nodes if ast.get_docstring(node, clean=False) is not None]
    return {line for each in docstrings for line in range(each.lineno, each.end_lineno + 1)}


def test_only_contracts_contain_paths_in_hdfs():
    found = []
    for name in tracked_files():
        if name.startswith(EXCEPTIONS) or name.endswith((".md", ".svg", "requirements.txt")):
            continue
        text = (REPOSITORY / name).read_text(errors="replace")
        ignored = docstring_lines(text) if name.endswith(".py") else set()
        for number, line in enumerate(text.split("\n"), start=1):
            if HDFS_PATH.search(OTHER_PATH.sub("", line)) and number not in ignored:
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []


def test_deployments_do_not_import_each_other():
    foreign = {"common": "embedded|stack|installation", "embedded": "stack", "stack": "embedded|installation"}
    foreign["installation"] = "embedded|stack"
    for folder, others in foreign.items():
        for path in (REPOSITORY / "deploy" / folder).glob("*.py"):
            assert not re.search(rf"^(from|import) deploy\.({others})\b", path.read_text(), re.MULTILINE), (
                path
            )
