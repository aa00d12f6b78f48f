"""Pages from templates. Every value is escaped. The filter `text` masks and shortens texts from dumps.

The filter `name` is for names of dumps and other facts that are not texts of tweets.
"""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from contracts.untrusted_text import mask, mask_names, shorten
from reporting.page import format_number, format_share

TEMPLATES = Path(__file__).parent / "templates"
MAX_SHOWN = 300  # characters of a text from a dump
# The pages in the order of the navigation, with their titles.
NAVIGATION = {
    "overview": "Overview",
    "bring": "Bring a dump",
    "dumps": "Dumps",
    "sentiment": "Sentiment",
    "models": "Models",
    "lineage": "Lineage",
    "reports": "Reports",
}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: the request. Links begin with the path under which Airflow serves the application.
        template: file name without `.html.j2`.
        status: HTTP status.
        values: values for the template.
    """
    base = request.scope.get("root_path", "")
    common = {"base": base, "airflow": base.rpartition("/")[0], "navigation": NAVIGATION, "here": ""}
    page = environment().get_template(f"{template}.html.j2").render(common | values)
    return HTMLResponse(page, status)


@cache
def environment() -> jinja2.Environment:
    """Return the environment of all templates."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "text": show_text,
        "name": show_name,
        "number": format_number,
        "moment": format_moment,
        "day": format_day,
        "size": format_size,
        "query": urlencode,
    }
    found.globals["share"] = format_share
    return found


def show_text(value: object, length: int = MAX_SHOWN) -> str:
    r"""Return a text from a dump without user names, links and invisible characters.

    >>> show_text("@ann: <b> \u202etxt"), show_text(None)
    ('<user>: <b> \\u202etxt', '')
    """
    return "" if value is None else shorten(mask(str(value)[: 4 * length]), length)


def show_name(value: object, length: int = MAX_SHOWN) -> str:
    r"""Return a fact without user names and invisible characters. The name of a dump may be a URL.

    >>> show_name("https://example.org/june.csv"), show_name("\u202evsc.enuj")
    ('https://example.org/june.csv', '\\u202evsc.enuj')
    """
    return "" if value is None else shorten(mask_names(str(value)[: 4 * length]), length)


def format_moment(value: datetime | None) -> str:
    """Return a time in UTC, to the minute."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


def format_day(value: datetime | None) -> str:
    """Return a day."""
    return "" if value is None else f"{value:%Y-%m-%d}"


def format_size(count: int) -> str:
    """Return a number of bytes.

    >>> format_size(999), format_size(1_500_000)
    ('999 B', '1.5 MB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
