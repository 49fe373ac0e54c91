"""The Dagster UI in a real browser: the graph, a run started by a click, figures and pictures."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as see
from selenium.webdriver.support.ui import WebDriverWait

from din_assets.runs.resources import StoreResource
from din_core.tables import checks
from tests.assets.places import Place, UserInterface, kill, wait_until

pytestmark = pytest.mark.browser

PATIENCE = 400  # seconds; the machine may be busy


def _write_log(place: Place) -> None:
    # Three events of a user in one moment, then three in another: a check warns of that.
    rows = [
        f"{user},{item},{100 * (step // 3) + user},{item % 4}"
        for user in range(30)
        for step, item in enumerate(range(7 * user % 50, 7 * user % 50 + 18, 3))
    ]
    log = place.home / "log.csv"
    log.write_text("\n".join(["user_id,item_id,time,cate_id", *rows]) + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The folder of the log, of the results and of the run history."""
    place = Place(tmp_path_factory.mktemp("ui"))
    _write_log(place)
    try:
        yield place
    finally:
        place.stop_everything()


@pytest.fixture(scope="module")
def served(place: Place) -> UserInterface:
    """A `dagster dev` on a small log, with an instance of its own."""
    return place.start_ui(DIN_CSV=str(place.home / "log.csv"))


@pytest.fixture(scope="module")
def ui(served: UserInterface) -> str:
    """Its address."""
    return served.address.removesuffix("/graphql")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--window-size=1500,950",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or ""
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield driver
    driver.quit()


def _go(browser: webdriver.Chrome, ui: str, path: str) -> None:
    """Go to a page as a link does, where the UI is open: to load it again takes a second.

    For what the page before does not show: that may be there a moment longer.
    """
    if not browser.current_url.startswith(ui):
        browser.get(ui + path)
        return
    browser.execute_script(
        "history.pushState(null, '', arguments[0]); dispatchEvent(new PopStateEvent('popstate'))",
        path,
    )


@contextlib.contextmanager
def _in_the_background(browser: webdriver.Chrome) -> Iterator[None]:
    """Have no page in view: one that is asks and draws all the time, and a run waits for that."""
    page = browser.current_window_handle
    browser.switch_to.new_window("tab")
    try:
        yield
    finally:
        browser.close()
        browser.switch_to.window(page)


def _text(browser: webdriver.Chrome, text: str, tag: str = "*") -> Any:
    """Wait for the innermost element with a text, on or below what is in view."""
    locator = (By.XPATH, f"//{tag}[contains(normalize-space(), '{text}')][last()]")
    return WebDriverWait(browser, PATIENCE).until(see.presence_of_element_located(locator))


def _click(browser: webdriver.Chrome, text: str, tag: str) -> None:
    """Click an element as a visitor does, once the dialogs that lie over it have been answered."""
    answered: list[str] = []

    def attempt(_: webdriver.Chrome) -> bool:
        for dialog in browser.find_elements(By.CLASS_NAME, "dagster-dialog"):
            answered.append(dialog.text)
            for button in dialog.find_elements(By.TAG_NAME, "button"):
                browser.execute_script("arguments[0].click()", button)
        _text(browser, text, tag).click()
        return True

    not_yet = (
        ElementClickInterceptedException,
        ElementNotInteractableException,
        StaleElementReferenceException,
    )
    try:
        WebDriverWait(browser, PATIENCE, ignored_exceptions=not_yet).until(attempt)
    except TimeoutException as error:
        raise AssertionError(f"no click on {text!r}; dialogs over it: {answered[-3:]}") from error


def _launch(browser: webdriver.Chrome, ui: str, job: str) -> None:
    """Launch a job from its launchpad, which leads to the page of the run."""
    _go(browser, ui, f"/locations/din_assets.definitions/jobs/{job}/playground")
    _text(browser, "No errors")

    def is_ready(_: webdriver.Chrome) -> bool:
        return _text(browser, "Launch Run", "button").is_enabled()

    not_yet = (StaleElementReferenceException,)
    # A click on the button before that is lost.
    WebDriverWait(browser, PATIENCE, ignored_exceptions=not_yet).until(is_ready)
    _click(browser, "Launch Run", "button")
    WebDriverWait(browser, PATIENCE).until(see.url_contains("/runs/"))


def _wait_for_runs(served: UserInterface, n_runs: int) -> list[str]:
    """Wait until so many runs have ended; return how, the latest first."""

    def statuses() -> list[str]:
        runs = served.ask("{ runsOrError { ... on Runs { results { status } } } }")
        return [run["status"] for run in runs["runsOrError"]["results"]]

    def have_ended() -> bool:
        found = statuses()
        return len(found) == n_runs and {*found} <= {"SUCCESS", "FAILURE"}

    wait_until(have_ended, statuses)
    return statuses()


#: The lines between groups: each is a curve of Bézier, M x,y C x,y,x,y,x,y.
_LINES = "return [...document.querySelectorAll('path[marker-end]')].map(p => p.getAttribute('d'))"


def _points(line: str, n_pieces: int = 61) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", line)]
    ends = [*zip(numbers[::2], numbers[1::2], strict=True)]
    assert len(ends) == 4, line
    shares = [nth / n_pieces for nth in range(n_pieces + 1)]
    weights = [((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3) for t in shares]
    return [
        (
            sum(weight * x for weight, (x, _) in zip(of, ends, strict=True)),
            sum(weight * y for weight, (_, y) in zip(of, ends, strict=True)),
        )
        for of in weights
    ]


def _cross(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    """Whether two lines go through each other; a common end is none."""

    def side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return any(
        side(a, b, c) * side(a, b, d) < -1e-6 and side(c, d, a) * side(c, d, b) < -1e-6
        for (a, b), (c, d) in itertools.product(itertools.pairwise(one), itertools.pairwise(other))
    )


def test_lines_that_cross_are_seen_to():
    falling, rising = _points("M0,0C50,0,50,100,100,100"), _points("M0,100C50,100,50,0,100,0")
    assert _cross(falling, rising)
    assert not _cross(falling, _points("M0,0C50,0,50,50,100,50"))


def test_lineage_opened_cold_has_no_line_that_crosses_another(ui, browser):
    browser.get(ui + "/asset-groups")
    for group in ("ingest", "sequences", "training", "evaluation", "delivery"):
        _text(browser, group)

    def drawn(_: webdriver.Chrome) -> list[str]:
        return sorted({*browser.execute_script(_LINES)})

    lines = WebDriverWait(browser, PATIENCE).until(drawn)
    assert len(lines) == 8  # from each group to each that reads it
    points = {line: _points(line) for line in lines}
    assert [
        pair for pair in itertools.combinations(lines, 2) if _cross(*map(points.get, pair))
    ] == []


def test_graph_is_shown_and_a_click_materializes_it(served, ui, browser):
    _go(browser, ui, "/asset-groups")
    for group in ("ingest", "sequences", "training", "evaluation", "delivery"):
        _text(browser, group)
    _click(browser, "Materialize all", "button")
    _go(browser, ui, "/runs")  # the graph would be drawn again with each step
    with _in_the_background(browser):
        assert _wait_for_runs(served, 1) == ["SUCCESS"]
    _text(browser, "Success")


def test_run_is_on_the_home_page(ui, browser):
    _go(browser, ui, "/overview/activity/timeline")
    _text(browser, "din_assets.definitions")
    _text(browser, "Jobless asset materializations")


def test_launchpad_of_a_preset_is_filled_in(ui, browser):
    _go(browser, ui, "/locations/din_assets.definitions/jobs/full_run_best/playground")
    _text(browser, "n_epoch")
    _text(browser, "No errors")


@pytest.mark.parametrize(
    ("asset", "says"),
    [("din_model", "val_auc"), ("architecture_graph", "graph"), ("test_auc", "popularity_auc")],
)
def test_asset_page_shows_figures_and_pictures(ui, browser, asset, says):
    if asset == "architecture_graph":
        browser.get(f"{ui}/assets/{asset}")  # the page before has such a button and picture, too
    else:
        _go(browser, ui, f"/assets/{asset}")
    _text(browser, says)
    if asset == "test_auc":
        return
    button = _text(browser, "[Show Markdown]", "a")
    browser.execute_script("arguments[0].click()", button)
    picture = WebDriverWait(browser, PATIENCE).until(
        see.presence_of_element_located((By.CSS_SELECTOR, "img[src^='data:image/png']"))
    )
    assert browser.execute_script("return arguments[0].naturalWidth", picture) > 100


def _status_of(browser: webdriver.Chrome, check: str) -> str:
    """What the list of checks says beside a check's own name; "Passed" is only of the first one."""
    beside = (By.XPATH, f"//*[@title='{check}']/following-sibling::span")

    def known(_: webdriver.Chrome) -> str | None:
        shown = [element.text.strip() for element in browser.find_elements(*beside)]
        return shown[0] if len(shown) == 1 and shown[0] in ("Succeeded", "Failed") else None

    not_yet = (StaleElementReferenceException,)
    return WebDriverWait(browser, PATIENCE, ignored_exceptions=not_yet).until(known)


def test_each_check_is_shown_as_passed(ui, browser):
    _go(browser, ui, "/assets/samples?view=checks")
    names = [check.name for check in checks.checks_of("samples")]
    assert "samples_no_leak" in names
    assert {name: _status_of(browser, name) for name in names} == dict.fromkeys(names, "Succeeded")


def test_failed_check_shows_what_was_found_and_what_to_do(ui, browser):
    _go(browser, ui, "/assets/events?view=checks")
    assert _status_of(browser, "events_ties_in_time") == "Failed"
    _go(browser, ui, "/assets/events?view=checks&checkDetail=events_ties_in_time")
    _text(browser, "a leave-one-out test measures the file")
    _text(browser, "examples")
    button = _text(browser, "[Show Markdown]", "a")
    browser.execute_script("arguments[0].click()", button)
    heads = (By.XPATH, "//th[contains(normalize-space(), 'n_ties')]")
    # It has no text as long as what it is in is opening.
    WebDriverWait(browser, PATIENCE).until(see.text_to_be_present_in_element(heads, "n_ties"))


def test_failed_run_says_why_on_its_page(place, served, ui, browser):
    (place.home / "log.csv").write_text("user_id,item_id\n1,2\n")
    _launch(browser, ui, "data_only")
    with _in_the_background(browser):
        assert _wait_for_runs(served, 2) == ["FAILURE", "SUCCESS"]
    run = served.ask("{ runsOrError(limit: 1) { ... on Runs { results { runId } } } }")
    _go(browser, ui, f"/runs/{run['runsOrError']['results'][0]['runId']}")
    _text(browser, "are not in the header (user_id, item_id)")


INGESTION = ("interactions", "rejected_rows", "source_files")


@pytest.mark.timeout(2 * PATIENCE)
def test_what_was_queued_runs_although_a_terminal_and_the_ui_were_killed(place, served, browser):
    # The last test: it kills the UI.
    browser.get("about:blank")

    def is_now(run_id: str, wanted: str) -> None:
        assert place.statuses()[run_id] == wanted, place.statuses()

    def becomes(run_id: str, wanted: str) -> None:
        wait_until(lambda: place.statuses()[run_id] == wanted, place.statuses)

    _write_log(place)
    before = place.statuses()
    # Whoever holds the lock decides when a run goes on, and what the kill meets.
    with StoreResource(home=str(place.data)).locked("a test"):
        command = place.materialize(",".join(INGESTION), {"ops": {}})
        terminal = place.start_warm("dagster", *command)
        assert any("waiting for a test" in line for line in terminal.stdout)
        [of_terminal] = place.statuses().keys() - before
        is_now(of_terminal, "STARTED")
        kill(terminal)
        first = served.launch(*INGESTION, config={})
        is_now(of_terminal, "FAILURE")
        becomes(first, "STARTED")
        second = served.launch(*INGESTION, config={})
        served.wait_for_monitoring()
        is_now(first, "STARTED")  # it waits for the lock, which is no death
        is_now(second, "QUEUED")
        kill(served.process)
        is_now(first, "STARTED")
    place.start_daemon(DIN_CSV=str(place.home / "log.csv"))  # as the UI does when it starts again
    becomes(second, "SUCCESS")
    is_now(first, "FAILURE")
