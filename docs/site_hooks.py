"""Hooks of MkDocs (`make site`): pages from the root of the repository, links between pages and code.

Links in Markdown are relative to the repository, so that they work where the repository is read. In the site,
a link to a page becomes a link within the site. A link to another file, for example code, becomes a link to
`project.urls.Repository` of pyproject.toml, or its text if the project states no address.
"""

import logging
import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.site")  # `--strict` counts the warnings of these loggers

# Pages of the site from files in the root of the repository.
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting-vulnerabilities.md",
}
# [text](target) and ![text](target). The text may contain one level of brackets.
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
ADDRESS = re.compile(r"[a-z]+:", re.IGNORECASE)
# Elements whose resource a browser loads without a click.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link(?![^>]*rel=["']?canonical))\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of ROOT_PAGES."""
    for name, uri in ROOT_PAGES.items():
        files.append(File.generated(config, uri, content=(find_root(config) / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Replace the links of a page."""
    root = find_root(config)
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return rewrite_links(markdown, page.file.src_uri, root, project.get("urls", {}).get("Repository"))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warn about resources of other servers: a reader's browser must not tell them about the reader."""
    for url in LOADED.findall(output):
        log.warning("%s loads %s from another server", page.file.src_uri, url)
    return output


def rewrite_links(markdown: str, page_uri: str, root: Path, repository: str | None) -> str:
    """Return a page with the links of the site.

    Args:
        markdown: text of the page.
        page_uri: its address within the site's sources.
        root: folder of the repository.
        repository: URL of the repository, without a slash at its end.
    """
    names = {uri: name for name, uri in ROOT_PAGES.items()}
    source = names.get(page_uri, f"docs/{page_uri}")

    def rewrite(link: re.Match[str]) -> str:
        mark, text, target = link.groups()
        path = target.partition("#")[0]
        fragment = target.removeprefix(path)
        if not path or ADDRESS.match(path):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        uri = ROOT_PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if uri:  # MkDocs warns if it does not exist
            return f"{mark}[{text}]({posixpath.relpath(uri, posixpath.dirname(page_uri) or '.')}{fragment})"
        if not (root / file).exists():
            log.warning("%s has a link to %s, which does not exist", source, target)
        if repository is None:
            return text
        return f"{mark}[{text}]({repository}/blob/HEAD/{file}{fragment})"

    return LINK.sub(rewrite, markdown)


def find_root(config: MkDocsConfig) -> Path:
    """Return the folder of the repository, which contains mkdocs.yml."""
    return Path(config.config_file_path).parent
