"""Actions of a user in Chromium, and a crawler that opens the pages and collects errors."""

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, urlsplit

import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from deploy.common.airflow_api import AirflowApi

PAGES = "/pulse/"
DOWNLOAD = re.compile(r"\.(csv|parquet)$")
RUN = re.compile(r"/dags/([^/]+)/runs/([^/?]+)")
DAG = re.compile(r"/dags/([^/]+)")
MODEL = re.compile(r"/models/([^/?]+)(?:/versions/(\d+))?")
MLFLOW_RUN = re.compile(r"/runs/(\w+)")
IDENTIFIER = re.compile(r"/[^/]*\d[^/]*")
MAX_PAGES_OF_A_KIND = 2  # there is a page for each tweet, hashtag and dump
SERIOUS = ("serious", "critical")
PHONE_WIDTH = 360  # pixels
INSPECTION_SECONDS = 180
RUN_SECONDS = 300


@dataclass
class Visit:
    """All pages, and what they contain.

    Attributes:
        pages: address of each page.
        navigation: addresses of the pages in the navigation.
        downloads: addresses of files.
        links: addresses in Airflow and MLflow.
        forms: action and token of each form that changes something.
        problems: failed requests, errors in the console, and accessibility violations.
    """

    pages: set[str] = field(default_factory=set)
    navigation: list[str] = field(default_factory=list)
    downloads: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    forms: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def visit_pages(page: Page, airflow: str) -> Visit:
    """Open every kind of page that a link on another page leads to, and collect problems."""
    visit, start = Visit(), f"{airflow}{PAGES}"
    kinds: Counter[str] = Counter()

    def note_failure(response: Response) -> None:
        if response.status >= 400:
            visit.problems.append(f"{response.url}: status {response.status}")

    page.on("response", note_failure)
    page.on("console", lambda message: message.type == "error" and visit.problems.append(message.text))
    waiting, seen = deque([start]), {start}
    while waiting:
        page.goto(waiting.popleft())
        if page.url in visit.pages:
            continue
        visit.pages.add(page.url)
        visit.problems += find_barriers(page)
        visit.forms |= read_forms(page)
        visit.navigation = visit.navigation or read_links(page, "header nav a")
        for link in read_links(page, "a[href]"):
            address = urlsplit(link)._replace(fragment="").geturl()
            if not link.startswith(start):
                visit.links.add(link)
            elif DOWNLOAD.search(urlsplit(address).path):
                visit.downloads.add(address)
            elif address not in seen:
                seen.add(address)
                kinds[kind := kind_of(address)] += 1
                if kinds[kind] <= MAX_PAGES_OF_A_KIND:
                    waiting.append(address)
    return visit


def kind_of(address: str) -> str:
    """Return the path without identifiers, and the names of the parameters. `by` chooses another table.

    >>> kind_of("http://localhost/pulse/dumps/0ab1?page=2"), kind_of("http://localhost/pulse/sentiment?by=day&hashtag=flu")
    ('/pulse/dumps/* page', '/pulse/sentiment by=day hashtag')
    """
    parts = urlsplit(address)
    parameters = parse_qs(parts.query)
    names = [f"by={parameters['by'][0]}" if name == "by" else name for name in sorted(parameters)]
    return " ".join([IDENTIFIER.sub("/*", parts.path), *names])


def read_links(page: Page, selector: str) -> list[str]:
    """Return the absolute addresses of links."""
    links: list[str] = page.locator(selector).evaluate_all("links => links.map(link => link.href)")
    return links


def read_forms(page: Page) -> dict[str, str]:
    """Return action and token of the forms that change something."""
    forms = page.locator("form[method=post]").evaluate_all(
        "forms => forms.map(form => [form.action, form.elements.token.value])"
    )
    return dict(forms)


def find_barriers(page: Page) -> list[str]:
    """Return the serious accessibility problems of a page."""
    return [
        f"{page.url}: {each['id']}: {', '.join(str(node['target'][0]) for node in each['nodes'][:3])}"
        for each in Axe().run(page).response["violations"]
        if each["impact"] in SERIOUS
    ]


def find_problems_of_a_dark_phone(page: Page, addresses: list[str]) -> list[str]:
    """Return the serious problems of pages on a narrow screen in the dark colour scheme."""
    problems = []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 740})
    for address in addresses:
        page.goto(address)
        problems += find_barriers(page)
        if page.evaluate("document.documentElement.scrollWidth") > PHONE_WIDTH:
            problems.append(f"{address}: wider than {PHONE_WIDTH} pixels")
    return problems


def find_broken_links(links: set[str], api: AirflowApi, mlflow: str) -> list[str]:
    """Return the links to Airflow and MLflow whose target does not exist."""
    found = {}
    for link in sorted(links):
        address = urlsplit(link)
        if link.startswith(mlflow):
            found[link] = requests.get(f"{mlflow}/api/2.0/mlflow/{find_record(address)}", timeout=30)
        else:
            found[link] = api.session.get(api.url + find_object(address), timeout=30)
    return [f"{link}: status {answer.status_code}" for link, answer in found.items() if not answer.ok]


def find_object(address: SplitResult) -> str:
    """Return the path of the object that a link into Airflow shows.

    Airflow's application answers 200 at any address and asks the API for the object.
    """
    if run := RUN.match(address.path):
        return f"/api/v2/dags/{run[1]}/dagRuns/{run[2]}"
    if dag := DAG.match(address.path):
        return f"/api/v2/dags/{dag[1]}"
    return address.path


def find_record(address: SplitResult) -> str:
    """Return the path and query of the model or run that a link into MLflow shows in its fragment."""
    if run := MLFLOW_RUN.search(address.fragment):
        return f"runs/get?run_id={run[1]}"
    name, version = MODEL.match(address.fragment).groups()
    if version:
        return f"model-versions/get?name={name}&version={version}"
    return f"registered-models/get?name={name}"


def upload(page: Page, airflow: str, name: str, content: bytes) -> None:
    """Upload a dump on *Bring a dump*."""
    page.goto(f"{airflow}{PAGES}bring")
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Upload and inspect").click()


def fetch(page: Page, airflow: str, url: str) -> None:
    """Let the server download a dump on *Bring a dump*."""
    page.goto(f"{airflow}{PAGES}bring")
    page.get_by_role("textbox", name="Address (http").fill(url)
    page.get_by_role("button", name="Download and inspect").click()


def expect_outcome(page: Page, outcome: str) -> None:
    """Wait until the page of an upload, which reloads itself, shows an outcome of the inspection."""
    expect(page.get_by_role("status")).to_contain_text(outcome, timeout=INSPECTION_SECONDS * 1000)


def press_and_read_run(page: Page, button: str) -> str:
    """Press a button that leads to a run in Airflow, if necessary after an inspection. Return its address."""
    page.get_by_role("button", name=button, exact=True).click(timeout=INSPECTION_SECONDS * 1000)
    page.wait_for_url(RUN)
    return page.url


def wait_for_success(page: Page, address: str) -> None:
    """Wait until the page of a run in Airflow shows its success."""
    page.goto(address)
    badge = page.get_by_test_id("state-badge").first
    expect(badge).to_contain_text("success", ignore_case=True, timeout=RUN_SECONDS * 1000)


def download(page: Page, link: str) -> bytes:
    """Follow a link to a file and return the content of the file."""
    with page.expect_download() as started:
        page.get_by_role("link", name=link, exact=True).click()
    return started.value.path().read_bytes()


def send_from_another_site(page: Page, port: int, action: str, token: str) -> Response:
    """Show a page of another site that sends a form to a page. Return the response."""
    fields = {"token": token, "reason": "a form of another site"}
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    form = f'<form method="post" action="{action}">{inputs}<button>Send</button></form>'
    page.route(f"http://127.0.0.1:{port}/", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"http://127.0.0.1:{port}/")
    with page.expect_navigation() as sent:
        page.get_by_role("button").click()
    page.unroute_all()
    return sent.value
