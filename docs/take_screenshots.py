"""Take the screenshots of the README: docs/images/*.png.

Start the platform with `make run` without DUMP, then run `make screenshots`. The first call loads generated
tweets with dates, because the sample of `make run` has none. A platform with any other dump is refused:
screenshots of real tweets must not be published.
"""

import argparse
import csv
import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from contracts.tables import DUMPS
from deploy.common import sample_dump, summary
from deploy.common.airflow_api import AirflowApi
from deploy.common.dag_runs import follow
from deploy.common.deployment import ADMIN
from deploy.common.errors import CommandError, run_command
from deploy.common.steps import step
from deploy.embedded.run import SAMPLE_SEED, SAMPLE_TWEETS, stage_dump
from deploy.embedded.settings import Settings, bypass_proxy_for_loopback

IMAGES = Path(__file__).with_name("images")
PICTURES = {"overview": "overview", "sentiment": "sentiment", "models": "models"}  # address below /pulse
WIDTH, MAX_HEIGHT, MARGIN = 1280, 1100, 24  # pixels
MAX_BYTES = 200_000
DATED_TWEETS = 1500
FIRST_TWEET = datetime(2026, 1, 5, 8, tzinfo=UTC)
BETWEEN_TWEETS = timedelta(hours=3)
# Weights of the labels -1, 0 and 1 of the first and of the last tweet.
FIRST_WEIGHTS, LAST_WEIGHTS = (30, 45, 25), (12, 43, 45)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Load the dated tweets if they are missing, and write the pictures."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    bypass_proxy_for_loopback(os.environ)
    settings = Settings.load()
    with tempfile.TemporaryDirectory() as scratch:
        sample, dated = Path(scratch, "sample.csv"), Path(scratch, "dated-sample.csv")
        sample_dump.write_dump(SAMPLE_TWEETS, SAMPLE_SEED, sample)
        write_dated_dump(dated)
        loaded = check_dumps(settings, {hash_file(sample), hash_file(dated)})
        if hash_file(dated) not in loaded:
            api = AirflowApi(settings)
            run_id = api.trigger("ingest_tweets", {"dump": stage_dump(settings, str(dated))})
            follow(api, "ingest_tweets", run_id, step)
    IMAGES.mkdir(exist_ok=True)
    with open_browser() as browser:
        page = browser.new_page()
        log_in(page, settings.url("airflow"), ADMIN, settings.secrets["airflow_password"])
        for name, address in PICTURES.items():
            page.goto(f"{settings.url('airflow')}/pulse/{address}")
            take_picture(page, IMAGES / f"{name}.png")


def write_dated_dump(path: Path) -> None:
    """Write generated tweets with a date and without a label. The opinion changes slowly over time."""
    draw = random.Random(SAMPLE_SEED)  # noqa: S311 (invented tweets)
    with path.open("w", encoding="utf-8", newline="") as output:
        rows = csv.writer(output)
        rows.writerow(("tweet_id", "safe_text", "created_at"))
        for number in range(DATED_TWEETS):
            progress = number / DATED_TWEETS
            weights = [
                first + progress * (last - first)
                for first, last in zip(FIRST_WEIGHTS, LAST_WEIGHTS, strict=True)
            ]
            [label] = draw.choices((-1, 0, 1), weights)
            tweet_id = sample_dump.tweet_id(SAMPLE_SEED + 1, number)
            written = FIRST_TWEET + number * BETWEEN_TWEETS
            rows.writerow((tweet_id, sample_dump.invent_text(draw, label), written.isoformat()))


def check_dumps(settings: Settings, generated: set[str]) -> set[str]:
    """Return the SHA-256 of all dumps of the platform.

    Raises:
        CommandError: the platform has no dump, or one that is not generated.
    """
    rows = summary.query_table(settings, DUMPS, "SELECT dump_sha256, source FROM t")
    if not rows:
        raise CommandError("the platform has no dump: run `make run` without DUMP first")
    foreign = [row["source"] for row in rows if row["dump_sha256"] not in generated]
    if foreign:
        raise CommandError(
            f"the platform has the dump {foreign[0]!r}, which is not generated: its tweets must not be "
            "published. Start another platform: VAXPULSE_HOME=/tmp/pictures make run screenshots"
        )
    return {row["dump_sha256"] for row in rows}


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium without a window.

    Raises:
        CommandError: there is no Chromium. Playwright would download one of its own.
    """
    program = find_chromium()
    if program is None:
        raise CommandError("Chromium is not installed (Debian: `apt install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-proxy-server"])
        yield browser


def log_in(page: Page, url: str, user: str, password: str) -> None:
    """Log in to Airflow on its login page."""
    page.goto(f"{url}/auth/login")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/auth/login" not in address)


def take_picture(page: Page, path: Path) -> None:
    """Write the upper part of a page: all blocks that end above MAX_HEIGHT.

    Raises:
        CommandError: the file is larger than MAX_BYTES.
    """
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTH, "height": MAX_HEIGHT})
    bottoms = page.locator("main > *").evaluate_all(
        "blocks => blocks.map(block => block.getBoundingClientRect().bottom)"
    )
    height = max(bottom for bottom in bottoms if bottom <= MAX_HEIGHT - MARGIN) + MARGIN
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    if path.stat().st_size > MAX_BYTES:
        raise CommandError(f"{path} has {path.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}")


if __name__ == "__main__":
    sys.exit(run_command(main, "screenshots", "interrupted"))
