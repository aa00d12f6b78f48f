"""Sentences for the values of a trigger form that Airflow refuses.

Airflow validates the values when the form is sent. It answers with status 400, and shows the text of
jsonschema above the form: the schema and the value as Python dictionaries. This middleware of the API server
replaces this text by one sentence.
"""

import ast
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from textwrap import dedent, shorten
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRIGGER_PATH = re.compile(r"/api/v2/dags/[^/]+/dagRuns/?")
# airflow.serialization.definitions.param, and jsonschema.exceptions.ValidationError.__str__
REFUSAL = re.compile(
    r"Invalid input for param (?P<name>\w+): (?P<message>.+?)\n\n"
    r"Failed validating '\w+' in schema\S*:\n(?P<schema>.+?)\n\n"
    r"On instance(?P<path>\S*):\n(?P<value>.+)",
    re.DOTALL,
)
MAX_LENGTH = 200


def describe_refusal(detail: str) -> str | None:
    """Return the sentence for a refused value, or None if the text is not about a value of a form.

    The schema of a Param may have the text `expected`, which replaces jsonschema's message.
    """
    found = REFUSAL.fullmatch(detail.strip())
    if not found:
        return None
    try:
        schema = ast.literal_eval(dedent(found["schema"]))
    except (SyntaxError, ValueError):  # jsonschema shortens a very large schema
        schema = {}
    parts = re.findall(r"\[(.+?)\]", found["path"])
    field = ", ".join([schema.get("title", found["name"]), *(part.strip("'\"") for part in parts)])
    value = shorten(found["value"], MAX_LENGTH, placeholder=" …")
    if value == "None":
        return f"{field}: a value is required."
    if expected := schema.get("expected"):
        return f"{field}: {value} is not valid. Expected: {expected}."
    return f"{field}: {shorten(found['message'], MAX_LENGTH, placeholder=' …')}."


def rewrite_body(body: bytes) -> bytes:
    """Return the body of a response with status 400 with a sentence in `detail`, if there is one for it."""
    try:
        content = json.loads(body)
        sentence = describe_refusal(content["detail"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return body
    return json.dumps(content | {"detail": sentence}).encode() if sentence else body


class RefusalSentences:
    """ASGI middleware that changes only responses with status 400 to a request that triggers a DAG."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope.get("method") != "POST" or not TRIGGER_PATH.search(scope.get("path", "")):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def rewrite(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and message["status"] == 400:
                start = message
            elif not start:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    content = rewrite_body(body)
                    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                    headers.append((b"content-length", str(len(content)).encode()))
                    await send({**start, "headers": headers})
                    await send({"type": "http.response.body", "body": content})

        # Without this header the API server does not compress the response.
        accepted = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
        await self.app({**scope, "headers": accepted}, receive, rewrite)


class FormRefusals(AirflowPlugin):
    """Adds the middleware to the API server."""

    name = "vaxpulse_form_refusals"
    fastapi_root_middlewares = [  # noqa: RUF012 (the base class has a list)
        {"name": "sentences for refused values", "middleware": RefusalSentences}
    ]
