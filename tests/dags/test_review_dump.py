"""Reviews: the page of a held dump, the prefilled form, and the answer."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import requests
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from deltalake import write_deltalake
from pyarrow import Table, table

from tests.dags.test_commands import render
from vaxpulse_dags import reviews, tables
from vaxpulse_dags.review_page import build_page

SHA256 = "ab" * 32
DUMP = {
    "dump_sha256": SHA256,
    "source": "june.csv",
    "delivered_at": datetime(2026, 11, 24, 23, 8, 25, tzinfo=UTC),
    "ingested_at": datetime(2026, 11, 24, 23, 9, 1, tzinfo=UTC),
    "state": "held",
    "reason": "Median text length 3 is outside 10 to 1000 characters.",
    "records": 8012,
    "accepted": 8010,
    "known": 0,
    "duplicates": 0,
    "quarantined": 2,
    "negative": 800,
    "neutral": 4000,
    "positive": 3210,
    "median_text_length": 3.0,
    "label_distance": None,
    "run_id": "run",
}
LABELS = {"0": -1, "4": 1, "9": None, "x": "?"}
MAPPING = {"tweet_id": "@text", "text": "tweet", "label": "target", "labels": LABELS}
ANSWERED = MAPPING | {"labels": {"0": -1, "4": 1, "9": None}}
QUESTIONS = [
    {
        "subject": "text",
        "text": "Which column contains the texts?",
        "options": ["tweet", "body"],
        "samples": {"tweet": ["a", "b", "c", "d", "e"], "body": ["f"], "user": ["g"]},
    },
    {"subject": "label", "text": "Which label has each value? See @ann.", "options": [], "samples": {}},
]
ASKED = DUMP | {
    "format": json.dumps({"container": ["zip", "gzip"], "encoding": "utf-8", "skip_blanks": False}),
    "mapping": json.dumps(MAPPING),
    "questions": json.dumps(QUESTIONS),
    "notes": json.dumps(["column 'user' is ignored"]),
    "first_created_at": datetime(2021, 3, 1, 8, tzinfo=UTC),
    "last_created_at": datetime(2021, 9, 30, 8, tzinfo=UTC),
    "changed_texts": 1234,
}
# Every value that a dump can contain, and its name.
HOSTILE = (
    "x | y `z` <script>alert(1)</script>\n# @ann_canary [click](https://example.org/token) **b** _i_ "
    "![p](//example.org/p) \u202egpj \u2066 \x1b[2J \x00 \ufeff &lt; ~~s~~ \\"
)
REASON = "the sender warned us"
CHANGED_LIMITS = {"max_decompressed_gib": 40, "max_text_length": 500}


def answer(option="Approve", **fields):
    user = {"id": "7", "name": "ann"}
    return {
        "chosen_options": [option],
        "params_input": {"reason": REASON} | fields,
        "responded_by_user": user,
    }


def test_page_shows_why_a_dump_is_held_and_its_figures():
    page = build_page(DUMP, [])
    assert "**june.csv**, delivered 2026-11-24 23:08 UTC, is held: Median text length 3 is outside" in page
    assert "8,010 of 8,012 records would be accepted, and 2 quarantined" in page
    assert "| records | 8,012 |" in page
    assert "| distance of the label shares from earlier dumps | - |" in page
    assert "Questions" not in page


def test_page_shows_questions_samples_mapping_dates_and_notes():
    lines = build_page(ASKED, []).splitlines()
    for line in (
        "1. `text`: Which column contains the texts? Possible values: tweet, body.",
        "| tweet | a | b | c | d | e |",
        "| body | f |  |  |  |  |",
        "2. `label`: Which label has each value? See &#60;user&#62;.",
        "**Format.** container: zip, gzip; encoding: utf-8",
        "| tweet_id | @text |".replace("@", "\u200b@"),
        "| text | tweet |",
        "| 0 | negative |",
        "| x | asked about |",
        "| 9 | no label |",
        "| first tweet written at | 2021-03-01 08:00 |",
        "| accepted, with an id of an earlier delivery and another text | 1,234 |",
        "- column 'user' is ignored",
    ):
        assert line in lines
    assert "| user | g |  |  |  |  |" not in lines  # not a candidate


def test_page_of_a_dump_without_header_shows_all_columns():
    samples = {"column 1": ["0", "4"], "column 2": ["a text", "another"]}
    question = {"subject": "header", "text": "What are the columns?", "options": [], "samples": samples}
    mapping = {"header": ["label", "text"], "text": "text"}
    page = build_page(
        DUMP | {"questions": json.dumps([question]), "mapping": json.dumps(mapping)},
        [],
    )
    assert "1. `header`: What are the columns?" in page
    assert "| column 1 | 0 | 4 |  |  |  |\n| column 2 | a text | another |  |  |  |" in page


def test_page_shows_the_reasons_of_quarantined_records_with_three_samples(tmp_path, monkeypatch):
    uri = str(tmp_path / "quarantine")
    monkeypatch.setattr(tables, "QUARANTINE", uri)
    assert tables.read_rejected_samples(SHA256, 3) == []
    rows = [
        {
            "dump_sha256": SHA256,
            "row_number": i,
            "raw_record": f"r{i}",
            "reason": f"cut by an unquoted line break: its text goes on in record {i + 1}",
        }
        for i in (5, 4, 3, 2)
    ]
    rows += [
        {"dump_sha256": SHA256, "row_number": 1, "raw_record": "r1", "reason": "label is not -1, 0 or 1"},
        {"dump_sha256": "cd" * 32, "row_number": 1, "raw_record": "other", "reason": "text is empty"},
    ]
    write_deltalake(uri, Table.from_pylist(rows))
    page = build_page(DUMP, tables.read_rejected_samples(SHA256, 3))
    cut = "cut by an unquoted line break: its text goes on in another record"
    assert f"| {cut} | 4 | r2 | r3 | r4 |\n| label is not -1, 0 or 1 | 1 | r1 |  |  |" in page


def test_values_of_a_dump_cannot_change_the_page_and_user_names_are_masked():
    hostile = ASKED | {
        "source": HOSTILE,
        "reason": HOSTILE,
        "format": json.dumps({HOSTILE: HOSTILE}),
        "mapping": json.dumps({"text": HOSTILE, "labels": {HOSTILE: 1}}),
        "notes": json.dumps([HOSTILE]),
        "questions": json.dumps(
            [{"subject": "text", "text": HOSTILE, "options": [HOSTILE], "samples": {HOSTILE: [HOSTILE] * 5}}]
        ),
    }
    page = build_page(hostile, [{"reason": HOSTILE, "records": 1, "raw_record": HOSTILE * 100}])
    assert "<" not in page
    assert "[" not in page
    assert "`z`" not in page
    assert "\n#" not in page
    assert "**b**" not in page
    assert "https://" not in page
    assert "_i_" not in page
    assert "~~" not in page
    assert "&lt;" not in page
    invisible = {c for c in page if not c.isprintable()} - {"\n", "\u200b"}
    assert invisible == set()
    assert "&#92;u202egpj" in page
    # The source is the address that a user has entered; it is not masked.
    assert page.count("canary") == 1
    heights = {
        line.count("|") for line in page.splitlines() if line.startswith("| x") and "positive" not in line
    }
    assert heights == {6, 7}  # samples: 6 cells; quarantined records: 5 cells and the borders
    cells = [cell for line in page.splitlines() if line.startswith("|") for cell in line.split(" | ")]
    assert all(len(cell.replace("&#", "").replace(";", "")) < 200 for cell in cells)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Return a function that writes the table `dumps` and runs the task `describe`."""

    def describe(dag_bag, dag_module, dump):
        uri = str(tmp_path / "dumps")
        monkeypatch.setattr(tables, "DUMPS", uri)
        monkeypatch.setattr(tables, "QUARANTINE", str(tmp_path / "quarantine"))
        monkeypatch.setattr(
            dag_module("review_dump"), "get_current_context", lambda: {"params": {"dump_sha256": SHA256}}
        )
        write_deltalake(uri, table({name: [value] for name, value in dump.items() if value is not None}))
        return dag_bag.dags["review_dump"].get_task("describe").python_callable()

    return describe


def ask(dag_bag, monkeypatch, described):
    """Run the task `decide` until it waits. Return the task and the form that Airflow would show."""
    forms = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **form: forms.append(form)
    )
    xcoms = SimpleNamespace(id="ti", xcom_pull=lambda *, key, **_: described[key])
    task = dag_bag.dags["review_dump"].get_task("decide").prepare_for_execution()
    context = {"ti": xcoms, "task_instance": xcoms}
    task.render_template_fields(context)
    with pytest.raises(TaskAwaitingInput):
        task.execute(context)
    [form] = forms
    return task, form


def test_form_is_prefilled_with_the_proposal(dag_bag, dag_module, monkeypatch, held):
    described = held(dag_bag, dag_module, ASKED)
    _, form = ask(dag_bag, monkeypatch, described)
    assert form["body"].startswith("**june.csv**, delivered")
    assert form["params"]["mapping"]["value"] == MAPPING
    assert form["params"]["reason"]["value"] is None
    assert described["has_questions"] is True
    # The values of one run do not reach the next.
    assert dag_bag.dags["review_dump"].get_task("decide").params["mapping"] is None


def test_form_of_a_dump_without_questions_has_an_empty_mapping(dag_bag, dag_module, monkeypatch, held):
    described = held(dag_bag, dag_module, DUMP)  # without the columns of later versions
    _, form = ask(dag_bag, monkeypatch, described)
    assert form["params"]["mapping"]["value"] == {}
    assert described["has_questions"] is False


@pytest.mark.parametrize("fields", [{"reason": REASON}, {"reason": REASON, "mapping": "no JSON"}])
def test_answer_reaches_the_next_task(dag_bag, dag_module, monkeypatch, held, fields):
    task, _ = ask(dag_bag, monkeypatch, held(dag_bag, dag_module, ASKED))
    event = answer() | {"params_input": fields, "responded_at": datetime(2026, 11, 25, tzinfo=UTC)}
    assert task.execute_complete({}, event)["params_input"] == fields


def read(dag_bag, given, has_questions):
    """Run the task `read_decision` of a review that no user started."""
    return read_decision(dag_bag, None, given, has_questions)


def read_decision(dag_bag, user, given, has_questions, deliverer=None):
    """Run the task `read_decision` of a review that a user's run of ingest_tweets started."""
    task = dag_bag.dags["review_dump"].get_task("read_decision").python_callable
    described = {("describe", "deliverer"): deliverer}
    context = {
        "dag_run": SimpleNamespace(triggering_user_name=user),
        "ti": SimpleNamespace(xcom_pull=lambda task_ids, key: described[task_ids, key]),
    }
    with patch.dict(task.__globals__, get_current_context=lambda: context):
        return task(given, has_questions)


def test_user_who_delivered_a_dump_cannot_decide_about_it(dag_bag, monkeypatch):
    assert read_decision(dag_bag, "ann", answer(), False)["user"] == "ann"  # the only user
    monkeypatch.setenv("VAXPULSE_SELF_REVIEW", "forbidden")
    for option in ("Approve", "Reject"):
        with pytest.raises(AirflowFailException, match=r"ann delivered the dump .* another user must decide"):
            read_decision(dag_bag, "ann", answer(option), False)
    for user in ("bob", None):  # None: a file in a landing folder
        assert read_decision(dag_bag, user, answer(), False)["user"] == "ann"


def test_user_who_delivered_a_dump_cannot_decide_if_another_run_has_started_the_review(
    dag_bag, dag_module, monkeypatch, held
):
    monkeypatch.setenv("VAXPULSE_SELF_REVIEW", "forbidden")
    monkeypatch.setenv(
        "VAXPULSE_WATCHED",
        json.dumps({"airflow": "http://a", "namenode": "http://n", "pages": {}, "disks": []}),
    )
    runs = {"/api/v2/dags/ingest_tweets/dagRuns/scheduled__2026-11-01%2Bx": {"triggering_user_name": "ann"}}

    def get(path, query):
        if path not in runs:
            raise requests.HTTPError(response=SimpleNamespace(status_code=status))
        return runs[path]

    status = 404
    monkeypatch.setattr(reviews, "open_api", lambda url: get)
    described = held(dag_bag, dag_module, DUMP | {"run_id": "scheduled__2026-11-01+x"})
    assert described["deliverer"] == "ann"
    with pytest.raises(AirflowFailException, match=r"ann delivered the dump .* another user must decide"):
        read_decision(dag_bag, None, answer(), False, described["deliverer"])
    assert read_decision(dag_bag, None, answer(), False, "bob")["user"] == "ann"
    assert reviews.find_deliverer("a deleted run") is None
    status = 503
    with pytest.raises(requests.HTTPError):
        reviews.find_deliverer("a run")


def test_answer_is_a_decision_with_reason_mapping_and_user(dag_bag):
    assert read(dag_bag, answer(reason=f"  {REASON} ", mapping=ANSWERED), True) == {
        "decision": "approve",
        "reason": REASON,
        "mapping": json.dumps(ANSWERED),
        "user": "ann",
    }
    as_text = read(dag_bag, answer(mapping=json.dumps(ANSWERED)), True)
    assert json.loads(as_text["mapping"]) == ANSWERED


@pytest.mark.parametrize("empty", [None, {}, "", " ", "{}", "null"])
def test_mapping_may_be_empty_only_without_questions(dag_bag, empty):
    assert read(dag_bag, answer(mapping=empty), False)["mapping"] == "{}"
    with pytest.raises(AirflowFailException, match="the mapping is empty: clear `decide` and answer again"):
        read(dag_bag, answer(mapping=empty), True)
    with pytest.raises(AirflowFailException, match="the mapping is empty"):
        read(dag_bag, answer(), True)


@pytest.mark.parametrize("mapping", [None, "no JSON", MAPPING])
def test_rejection_needs_no_mapping(dag_bag, mapping):
    decided = read(dag_bag, answer("Reject", mapping=mapping), True)
    assert (decided["decision"], decided["mapping"]) == ("reject", "{}")


def test_wrong_mapping_is_an_error_that_says_what_to_do(dag_bag):
    with pytest.raises(AirflowFailException, match=r"labels: 2 is not one of .*: clear `decide` and answer"):
        read(dag_bag, answer(mapping={"labels": {"4": 2}}), True)


@pytest.mark.parametrize("fields", [{"reason": None}, {"reason": "  short   "}])
def test_answer_without_a_reason_is_an_error(dag_bag, fields):
    with pytest.raises(AirflowFailException, match="reason must have at least 10 characters"):
        read(dag_bag, answer(**fields), False)


def test_dump_has_one_review_each_time_that_it_is_held():
    [first] = reviews.build_review_runs([DUMP], CHANGED_LIMITS, "run")
    assert reviews.build_review_runs([DUMP], CHANGED_LIMITS, "run") == [first]
    again = DUMP | {"ingested_at": datetime(2026, 11, 25, tzinfo=UTC)}
    [second] = reviews.build_review_runs([again], CHANGED_LIMITS, "run")
    assert first["trigger_run_id"] == "held__abababababababab__20261124T230901"
    assert first["trigger_run_id"] != second["trigger_run_id"]


def test_limit_on_decompression_of_the_ingestion_applies_to_the_approval(dag_bag):
    dag = dag_bag.dags["review_dump"]
    [run] = reviews.build_review_runs([DUMP], CHANGED_LIMITS, "run")
    assert run["conf"].keys() == dag.params.keys()
    command = [render(word, dag, **run["conf"]) for word in dag.get_task("apply_decision").command]
    assert {"--max-decompressed-gib=40", "--max-text-length=500"} < set(command)
    assert f"--dump-sha256={SHA256}" in command


@pytest.mark.parametrize("run_id", ["another run", None])
def test_limits_of_a_run_do_not_apply_to_the_reviews_of_dumps_that_another_run_has_held(run_id):
    [run] = reviews.build_review_runs([DUMP], CHANGED_LIMITS, run_id)
    assert run["conf"] == {"dump_sha256": SHA256}
