"""A report as one HTML file that loads nothing from elsewhere, and the page of a message.

This module does not import Matplotlib, so that Airflow's web server can import it quickly.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup


@dataclass(frozen=True)
class Picture:
    """A figure for light and for dark pages (SVG, or PNG if not `is_svg`), and as PNG. `alt` describes it."""

    name: str
    alt: str
    light: bytes
    dark: bytes
    png: bytes
    is_svg: bool = True


@dataclass(frozen=True)
class Table:
    """A table of numbers. The first column has the row headings."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """A part of a report. `links` maps the names of files to their addresses."""

    title: str
    text: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    links: Mapping[str, str] | None = None


def render(heading: str, facts: Mapping[str, str], sections: Sequence[Section], summary: str = "") -> str:
    """Return a report. `facts` are shown as a list of names and values, above the `summary`."""
    return page_template().render(heading=heading, facts=facts, sections=sections, summary=summary)


def render_message(title: str, advice: str) -> str:
    """Return a page that consists of a title and a paragraph, for example for a missing report."""
    return render(title, {}, [], summary=advice)


@cache
def page_template() -> jinja2.Template:
    """Return `page.html.j2`. It escapes every value."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"data_uri": data_uri, "number": format_number}
    return environment.from_string(
        resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    )


def data_uri(content: bytes, is_svg: bool) -> Markup:
    """Return a picture as a data: URI."""
    kind = "svg+xml" if is_svg else "png"
    encoded = base64.b64encode(content).decode()
    return Markup(f"data:image/{kind};base64,{encoded}")  # noqa: S704 (base64 needs no escaping)


def format_number(value: Any) -> str:
    """Return the text of a table cell.

    >>> format_number(12345), format_number("a"), format_number(None)
    ('12,345', 'a', '')
    """
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def format_share(part: float, whole: float) -> str:
    """Return a share in percent.

    >>> format_share(1, 8), format_share(0, 0)
    ('12.5 %', '–')
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "–"
