"""Links of the documentation site, and what fails its strict build."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.common.checkout import REPOSITORY
from docs.site_hooks import on_post_page, rewrite_links

URL = "https://git.example.org/vaxpulse"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "[a](docs/dumps.md#records)", "[a](dumps.md#records)"),
        ("index.md", "![a](docs/pipeline.svg)", "![a](pipeline.svg)"),
        ("security.md", "[a](../SECURITY.md)", "[a](reporting-vulnerabilities.md)"),
        ("how-to/README.md", "[a](../../README.md#run-it)", "[a](../index.md#run-it)"),
        ("how-to/own-dump.md", "[a\nb](../dumps.md)", "[a\nb](../dumps.md)"),
        ("dumps.md", "[`a`](../loading/vocabulary.py)", f"[`a`]({URL}/blob/HEAD/loading/vocabulary.py)"),
        ("dumps.md", "[a](#records) [b](https://example.org/x)", "[a](#records) [b](https://example.org/x)"),
    ],
)
def test_links_work_in_the_site(page, link, expected):
    assert rewrite_links(link, page, REPOSITORY, URL) == expected


def test_link_to_code_is_its_text_if_the_project_states_no_address():
    assert rewrite_links("see [`a`](contracts)", "index.md", REPOSITORY, None) == "see `a`"


@pytest.mark.parametrize(
    ("element", "urls"),
    [
        ('<a href="https://a.org"><link rel="canonical" href="https://a.org/"><img src="x.png">', []),
        ('<script async src="https://a.org/x.js"></script>', ["https://a.org/x.js"]),
        ('<img alt="" src=//a.org/x.png>', ["//a.org/x.png"]),
        ('<link rel="stylesheet" href="https://a.org/x.css">', ["https://a.org/x.css"]),
    ],
)
def test_resources_of_other_servers_are_reported(caplog, element, urls):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    with caplog.at_level(logging.WARNING):
        assert on_post_page(element, page) == element
    assert [record.args[1] for record in caplog.records] == urls


def test_broken_links_and_pages_outside_the_navigation_fail_the_build(tmp_path):
    for path in REPOSITORY.iterdir():
        if path.name != "docs" and not path.name.startswith((".", "site", "var")):
            (tmp_path / path.name).symlink_to(path)
    docs = Path(shutil.copytree(REPOSITORY / "docs", tmp_path / "docs"))
    (docs / "new.md").write_text("# New\n")
    broken = ("no-such-page.md", "dumps.md#no-such-section", "../loading/no_such_module.py")
    with (docs / "pages.md").open("a") as page:
        page.writelines(f"\n[a]({link})\n" for link in broken)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    named = ["new.md", "no-such-page.md", "#no-such-section", "no_such_module.py"]
    assert [name for name in named if name not in done.stderr] == []
    assert "Aborted with 4 warnings in strict mode" in done.stdout
