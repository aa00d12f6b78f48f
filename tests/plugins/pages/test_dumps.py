"""Pages *Dumps* and *Dump*."""

import csv
import io
import json
import re
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from tests.plugins.pages.platform import HOSTILE, MORNING, dump, sha256_of

ADDRESS = f"/dumps/{sha256_of('june.csv')}"


def test_platform_without_dumps_has_an_empty_list(browser):
    answer = browser.get("/dumps")
    assert answer.status_code == 200
    assert "0 dumps" in answer.text


def test_list_shows_state_counts_and_dates_of_each_dump(browser, platform):
    platform.add_dumps(
        dump(
            "june.csv", records=12_345, first_created_at=MORNING - timedelta(days=9), last_created_at=MORNING
        ),
        dump("july.csv", "held"),
    )
    page = browser.get("/dumps").text
    assert "12,345" in page
    assert "2026-11-15 to 2026-11-24" in page
    assert '<span class="badge held">held</span>' in page
    assert f'href="{ADDRESS}"' in page


def test_dump_from_an_address_is_shown_with_its_url(browser, platform):
    url = "https://example.org/june.csv"
    platform.add_dumps(dump(url, "held"))
    for address in ("/overview", "/dumps", f"/dumps/{sha256_of(url)}", f"/lineage?dump={sha256_of(url)}"):
        assert url in browser.get(address).text, address


def test_list_is_filtered_by_state_and_text(browser, platform):
    platform.add_dumps(dump("june.csv"), dump("july.csv", "held"), dump("june-2.csv", "held"))
    page = browser.get("/dumps?state=held&q=JUNE").text
    assert "june-2.csv" in page
    assert "july.csv" not in page
    assert "1 dump match" in page


def test_list_has_pages_that_keep_the_filter(browser, platform):
    platform.add_dumps(*(dump(f"{number}.csv", "held") for number in range(120)))
    page = browser.get("/dumps?state=held&page=2").text
    assert "Page 2 of 3" in page
    assert "state=held&amp;q=&amp;page=3" in page


def test_new_dump_appears_within_the_time_of_the_cache(browser, platform, monkeypatch):
    platform.add_dumps(dump("june.csv"))
    assert "july.csv" not in browser.get("/dumps").text
    platform.add_dumps(dump("july.csv"))
    monkeypatch.setattr("vaxpulse_airflow.pages.data.tables.CACHE_SECONDS", -1.0)
    assert "july.csv" in browser.get("/dumps").text


def test_dump_shows_reason_questions_mapping_and_notes(browser, platform):
    question = {"subject": "label", "text": "Which value is negative?", "options": ["0", "4"]}
    platform.add_dumps(
        dump(
            "june.csv",
            "held",
            reason="labels are ambiguous",
            questions=json.dumps([question]),
            mapping=json.dumps({"text": "tweet", "label": None, "labels": {"0": -1}}),
            format=json.dumps({"format": "csv", "delimiter": ";"}),
            notes=json.dumps(["3 dates cannot be parsed"]),
        )
    )
    page = browser.get(ADDRESS).text
    for text in (
        "labels are ambiguous",
        "Which value is negative?",
        "3 dates cannot be parsed",
        "tweet",
        ";",
    ):
        assert text in page


def test_unknown_dump_is_not_found(browser, platform):
    platform.add_dumps(dump("june.csv"))
    assert browser.get(f"/dumps/{'0' * 64}").status_code == 404


def test_records_of_a_dump_are_paged_in_order(browser, platform):
    platform.add_dumps(dump("june.csv"))
    platform.add_records(sha256_of("june.csv"), *(f"record number {number}." for number in range(1, 121)))
    platform.add_records(sha256_of("july.csv"), "of another dump")
    page = browser.get(f"{ADDRESS}?page=3").text
    assert "120 records" in page
    assert "record number 101." in page
    assert "record number 100." not in page
    assert "of another dump" not in page


def test_records_are_searched_by_text_and_reason(browser, platform):
    platform.add_dumps(dump("june.csv"))
    platform.add_records(sha256_of("june.csv"), "a Needle here", "hay", reason="same id as record 7")
    platform.add_records(sha256_of("june.csv"), "another needle", reason="text is empty")
    page = browser.get(ADDRESS, params={"q": "nEEdle", "reason": "same id as another record"}).text
    assert "a Needle here" in page
    assert "1 record " in page
    assert "another needle" not in page


@pytest.mark.parametrize("words", ["'", "' OR '1'='1", "%", "_", "\\", '"; DROP TABLE t; --', "\0", "é疫"])
def test_search_text_is_not_interpreted(browser, platform, words):
    platform.add_dumps(dump("june.csv"))
    platform.add_records(sha256_of("june.csv"), "harmless", f"with {words} inside")
    if not words.strip("\0"):
        return
    page = browser.get(ADDRESS, params={"q": words}).text
    assert "1 record " in page
    assert "harmless" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_on_the_pages(browser, platform, text):
    platform.add_dumps(
        dump(
            text.partition(" https:")[0],  # the URL of a dump is shown
            "held",
            dump_sha256=sha256_of("june.csv"),
            reason=text,
            run_id=text,
            notes=json.dumps([text]),
            mapping=json.dumps({"text": text}),
            format=json.dumps({"format": [text]}),
            questions=json.dumps([{"subject": text, "text": text, "options": [text]}]),
        )
    )
    platform.add_records(sha256_of("june.csv"), text, reason=text)
    search = {"q": text[:200], "reason": text[:200]}
    for page in (browser.get("/dumps").text, browser.get(ADDRESS, params=search).text):
        assert "<script" not in page
        assert "<img" not in page
        shown = re.sub("<[^>]*>", "", page)
        assert not {"\u202e", "\u2066", "\x1b", "\0"} & set(shown)
        assert "private" not in shown
        assert "ann_smith" not in shown
        assert "x" * 2500 not in shown
        if "7*7" in text:
            assert "{{ 7*7 }}" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_in_the_download(browser, platform, text):
    platform.add_dumps(dump("june.csv"))
    platform.add_records(sha256_of("june.csv"), text, reason=text)
    answer = browser.get(f"{ADDRESS}/quarantine.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    [header, row] = csv.reader(io.StringIO(answer.text))
    assert header == ["row_number", "reason", "raw_record"]
    for cell in row:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell.isprintable()
        assert "ann_smith" not in cell
        assert "https:" not in cell


def test_download_contains_the_records_that_the_page_finds(browser, platform):
    platform.add_dumps(dump("june.csv"))
    platform.add_records(sha256_of("june.csv"), *(f"record {number}." for number in range(1000)))
    assert len(browser.get(f"{ADDRESS}/quarantine.csv").text.splitlines()) == 1001
    assert len(browser.get(f"{ADDRESS}/quarantine.csv?q=record 99").text.splitlines()) == 12


def test_files_of_the_table_are_read_once(browser, platform, monkeypatch):
    monkeypatch.setattr("vaxpulse_airflow.pages.data.tables.CACHE_SECONDS", -1.0)
    platform.add_dumps(dump("june.csv"))
    assert "1 in total" in browser.get("/dumps").text
    [path] = platform.folder.glob("dumps/*.parquet")
    path.unlink()  # reading it again would fail
    platform.add_dumps(dump("july.csv"))
    # Also if the table is opened again, as after REOPEN_SECONDS.
    for seconds in (300.0, -1.0):
        monkeypatch.setattr("vaxpulse_airflow.pages.data.tables.REOPEN_SECONDS", seconds)
        page = browser.get("/dumps").text
        assert "june.csv" in page
        assert "july.csv" in page


def test_files_of_earlier_versions_and_of_spark_have_the_same_rows(browser, platform):
    """A file lacks columns that are newer, or has the timestamps of Spark."""
    platform.add_dumps(dump("june.csv"))
    [path] = platform.folder.glob("dumps/*.parquet")
    stored = pq.read_table(path)
    pq.write_table(stored.drop_columns(["notes", "reason"]), path, use_deprecated_int96_timestamps=True)
    page = browser.get("/dumps").text
    assert "june.csv" in page
    assert "2026-11-24 08:30" in page
    assert browser.get(f"/dumps/{sha256_of('june.csv')}").status_code == 200


def test_dump_links_to_the_run_that_has_loaded_it_or_decided_about_it(browser, platform, airflow):
    platform.add_dumps(dump("june.csv", run_id="held__june"))
    airflow.runs = [{"dag_id": "review_dump", "dag_run_id": "held__june", "state": "success"}]
    assert 'href="/dags/review_dump/runs/held__june"' in browser.get(ADDRESS).text
    airflow.runs = []  # deleted from Airflow's history
    page = browser.get(ADDRESS).text
    assert "held__june" in page
    assert "runs/held__june" not in page
