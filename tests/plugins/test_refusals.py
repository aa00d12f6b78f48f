"""A value that a trigger form refuses is explained by one sentence."""

import pytest
from airflow.exceptions import ParamValidationError
from airflow.sdk import DAG, Param
from airflow.serialization.serialized_objects import DagSerialization
from fastapi import FastAPI, HTTPException
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.testclient import TestClient

from vaxpulse_airflow.forms.refusals import FormRefusals, describe_refusal

SHA256 = Param(
    type="string",
    pattern="^[0-9a-f]{64}$",
    title="SHA-256 of the dump",
    description_md="A text that is so long that Python's pretty printer writes it on several lines. " * 3,
    expected="64 hexadecimal digits, as on the page *Dumps*",
)
MAPPING = Param(
    None,
    type=["object", "null"],
    title="Mapping",
    properties={"labels": {"type": "object", "additionalProperties": {"enum": [-1, 0, 1, None]}}},
    additionalProperties=False,
)
FIELDS = {"sha256": SHA256, "mapping": MAPPING, "share": Param(0.1, type="number", maximum=1, title="Share")}


def refuse(conf):
    """Return Airflow's message about the values of a form, as the API server computes it."""
    with DAG("a", params=FIELDS) as dag:
        pass
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    with pytest.raises(ParamValidationError) as refused:
        serialized.params.deep_merge({"sha256": "0" * 64} | conf).validate()
    return str(refused.value)


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        (
            {"sha256": "abc"},
            "SHA-256 of the dump: 'abc' is not valid. "
            "Expected: 64 hexadecimal digits, as on the page *Dumps*.",
        ),
        ({"sha256": None}, "SHA-256 of the dump: a value is required."),
        ({"share": 5}, "Share: 5 is greater than the maximum of 1."),
        ({"share": "many"}, "Share: 'many' is not of type 'number'."),
        ({"mapping": {"labels": {"bad": 7}}}, "mapping, labels, bad: 7 is not one of [-1, 0, 1, None]."),
        (
            {"mapping": {"id": "a"}},
            "Mapping: Additional properties are not allowed ('id' was unexpected).",
        ),
    ],
)
def test_refused_value_has_one_sentence(conf, sentence):
    assert describe_refusal(refuse(conf)) == sentence


def test_long_value_is_shortened():
    assert len(describe_refusal(refuse({"sha256": "a " * 500}))) < 320


def test_other_errors_stay():
    assert describe_refusal("DAG with dag_id: 'a' is paused") is None


def respond(path, detail, status=400):
    """Return the response of an API server with the middleware."""
    app = FastAPI()

    @app.post("/api/v2/{rest:path}")
    def trigger(rest: str):
        raise HTTPException(status, detail)

    app.add_middleware(GZipMiddleware, minimum_size=1)
    for each in FormRefusals.fastapi_root_middlewares:
        app.add_middleware(each["middleware"])
    return TestClient(app).post(f"/api/v2{path}", headers={"Accept-Encoding": "gzip"})


def test_response_to_a_trigger_contains_the_sentence():
    response = respond("/dags/reopen_dump/dagRuns", refuse({"share": 5}))
    assert response.status_code == 400
    assert response.json() == {"detail": "Share: 5 is greater than the maximum of 1."}
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize(
    ("path", "detail", "status"),
    [
        ("/dags/reopen_dump/dagRuns", "another error", 400),
        ("/dags/reopen_dump/dagRuns", {"a": ["structured"]}, 400),
        ("/dags/reopen_dump/dagRuns", "Invalid input", 409),
        ("/dags/reopen_dump/dagRuns/list", "Invalid input for param a: b\n\nFailed", 400),
    ],
)
def test_other_responses_do_not_change(path, detail, status):
    response = respond(path, detail, status)
    assert (response.status_code, response.json()) == (status, {"detail": detail})
