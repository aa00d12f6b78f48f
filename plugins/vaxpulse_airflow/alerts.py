"""Send alerts to the receiver in the Connection `vaxpulse_alerts`: a webhook or e-mail.

A webhook needs one HTTP request and SmtpHook is a part of Airflow's own dependencies, so neither Apprise nor
the HTTP provider is installed for it. The JSON has a member `text`, which chat programs show.
"""

import html
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import requests
from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

if TYPE_CHECKING:
    from monitoring.alerts import Alert, State

CONNECTION = "vaxpulse_alerts"
VARIABLE = "vaxpulse_alerts"  # the state of `monitoring.alerts`
TIMEOUT_SECONDS = 10


class AlertError(AirflowException):
    """An alert could not be sent. The message contains no address: the URL of a webhook is a secret."""


def find_receiver() -> "Callable[[Alert], None] | None":
    """Return a function that sends one alert, or None if there is no Connection.

    Raises:
        ValueError: the Connection is incomplete.
    """
    try:
        connection = BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        return None
    if connection.conn_type == "smtp":
        receivers = connection.extra_dejson.get("to")
        if not receivers:
            raise ValueError(
                f'the extra of the Connection {CONNECTION} needs "to": the address that gets alerts'
            )
        return lambda alert: send_mail(receivers, alert)
    url = connection.password or ""
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"the password of the Connection {CONNECTION} must be the http(s) URL of the webhook"
        )
    return lambda alert: post(url, alert)


def post(url: str, alert: "Alert") -> None:
    """Send an alert to a webhook as JSON.

    Raises:
        AlertError: the webhook does not accept the alert.
    """
    problem = asdict(alert.problem)
    body = {"text": alert.text, "state": "resolved" if alert.is_resolved else "open"} | problem
    try:
        # A redirect could send the alert to an address that nobody has configured.
        response = requests.post(url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise AlertError(f"the webhook does not respond: {type(error).__name__}") from None
    if not 200 <= response.status_code < 300:
        raise AlertError(f"the webhook responds with status {response.status_code}")


def send_mail(receivers: str | list[str], alert: "Alert") -> None:
    """Send an alert by e-mail.

    Raises:
        AlertError: the mail server does not accept the message.
    """
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    try:
        with SmtpHook(CONNECTION) as hook:
            hook.send_email_smtp(
                to=receivers,
                subject=alert.title,
                html_content=html.escape(alert.text).replace("\n", "<br>"),
            )
    except Exception as error:  # smtplib, ssl and sockets raise unrelated exceptions
        raise AlertError(f"the mail server does not accept the alert: {type(error).__name__}") from None


def load_state() -> "State":
    """Return the state of the last pass, empty at the first one."""
    state: dict[str, Any] = Variable.get(VARIABLE, default={}, deserialize_json=True)
    return state


def save_state(state: "State") -> None:
    """Store the state for the next pass."""
    Variable.set(
        VARIABLE,
        state,
        description="Alerts that were sent. Delete it to send all current alerts again.",
        serialize_json=True,
    )
