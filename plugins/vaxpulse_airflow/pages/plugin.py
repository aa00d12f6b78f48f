"""Adds the pages to Airflow's navigation."""

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# Not below /vaxpulse: the application of `reports` answers all requests there.
URL_PREFIX = "/pulse"


class Pages(AirflowPlugin):
    """Adds the menu entry and the web application."""

    name = "vaxpulse_pages"
    # Without `url_route` the entry opens the pages outside Airflow's frame. The sandbox of the frame does not
    # allow links to runs, and addresses with filters could not be shared.
    external_views = [  # noqa: RUF012 (the base class has a list)
        {"name": "Tweets", "href": f"{URL_PREFIX}/", "destination": "nav", "nav_top_level": True}
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Create the web application. Only the API server reads this property."""
        from vaxpulse_airflow.pages.app import build_app

        return [{"name": "vaxpulse pages", "url_prefix": URL_PREFIX, "app": build_app()}]
