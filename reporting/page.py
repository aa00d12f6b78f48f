"""A report as an HTML page. Each section has a text, figures with a text alternative, and the numbers as a table."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from reporting.figures import Picture


@dataclass(frozen=True)
class Table:
    """Numbers below a figure; the first column holds the headings of the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """A part of the report: its heading, a text, figures and tables; `links` are files to download, by what is shown of them."""

    title: str
    text: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = field(default_factory=list)
    links: Mapping[str, str] = field(default_factory=dict)


def share(part: float, whole: float) -> str:
    """A share in percent.

    >>> share(1, 8), share(0, 0)
    ('12.5 %', '–')
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "–"


def render(heading: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page: one HTML file that loads nothing from elsewhere."""
    return page_template().render(heading=heading, facts=facts, sections=sections)


@cache
def page_template() -> jinja2.Template:
    """`page.html.j2` beside this file."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"data_uri": data_uri, "number": number}
    return environment.from_string(
        resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    )


def data_uri(content: bytes, is_svg: bool) -> Markup:
    """The picture as a data: URI."""
    kind = "svg+xml" if is_svg else "png"
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")  # noqa: S704 (base64 has no character to escape)


def number(value: Any) -> str:
    """The text of a table's cell.

    >>> number(12345), number("a"), number(None)
    ('12,345', 'a', '')
    """
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
