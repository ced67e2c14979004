"""The page of a Flask project in a real browser."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import html5lib
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from helpers.modes import missing
from helpers.sites import Service, Sites
from helpers.template import ROOT
from helpers.variants import APIS

ARTEFACTS = ROOT / "artifacts"
WIDTHS = (360, 1280)
SCRIPT = "<script>alert(1)</script>"
# What is drawn in which colour on which, with the border where that is what shows the thing.
COLOURS = """() => {
  const canvas = document.createElement("p");
  canvas.style.background = "Canvas";
  document.body.append(canvas);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return getComputedStyle(canvas).backgroundColor;
  };
  const found = [];
  for (const element of document.querySelectorAll("h1, p, li, label, input, button")) {
    if (element === canvas) continue;
    const style = getComputedStyle(element);
    found.push([element.tagName, style.color, behind(element), 4.5]);
    if (element.matches("input, button"))
      found.push(["border", style.borderTopColor, behind(element.parentElement), 3]);
  }
  canvas.remove();
  return found;
}"""


def find_browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    for path in (os.environ.get("TEST_CHROMIUM"), *map(shutil.which, names)):
        if path:
            return path
    return missing(
        "No Chromium is installed. Install your distribution's package, "
        "or name its program in TEST_CHROMIUM."
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_browser()
    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with closing(browser.new_page()) as page:
        yield page


@pytest.fixture(params=APIS)
def service(request: pytest.FixtureRequest, sites: Sites, tmp_path: Path) -> Iterator[Service]:
    """A project's page, served as its README says."""
    site, url = sites(request.param, "flask", "sqlite")
    with site.start(url, tmp_path, server="flask") as service:
        yield service


def corrupt_the_database(folder: Path) -> None:
    [file] = folder.glob("*.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'no SQL' WHERE name = 'messages'")
        connection.execute("PRAGMA schema_version = 1000")


def focus(page: Page) -> str:
    """Return the element that takes the keys, and check that one can see it."""
    seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
    name: str = page.evaluate(f"{seen} && document.activeElement.tagName")
    return name


def test_a_person_adds_a_script_and_sees_it_as_text(
    browser: Browser, page: Page, service: Service
) -> None:
    problems: list[str] = []
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(service.address)
    assert page.get_by_text("There are no messages yet.").is_visible()
    # With nothing but a keyboard.
    page.keyboard.type(SCRIPT)
    assert focus(page) == "INPUT"
    page.keyboard.press("Tab")
    assert focus(page) == "BUTTON"
    page.keyboard.press("Space")
    page.get_by_role("listitem").wait_for()
    assert page.get_by_role("listitem").all_inner_texts() == [SCRIPT]
    assert focus(page) == "INPUT"
    page.reload()
    assert page.get_by_role("listitem").all_inner_texts() == [SCRIPT]
    with closing(browser.new_page(java_script_enabled=False)) as plain:
        plain.goto(service.address)
        plain.get_by_label("New message").fill("No JavaScript")
        plain.get_by_role("button", name="Add").click()
        plain.get_by_text("No JavaScript").wait_for()
        assert plain.get_by_role("listitem").all_inner_texts() == ["No JavaScript", SCRIPT]
    assert [problem for problem in problems if "favicon" not in problem] == []


@pytest.mark.parametrize("service", APIS[:1], indirect=True)
def test_a_form_on_the_page_of_another_site_stores_nothing(page: Page, service: Service) -> None:
    field = '<input name="message" value="from elsewhere"><button>Win</button>'
    page.set_content(f'<form method="post" action="{service.address}">{field}</form>')
    with page.expect_response(service.address) as answer:
        page.get_by_role("button").click()
    assert answer.value.status == 403
    page.goto(service.address)
    assert page.get_by_text("There are no messages yet.").is_visible()


def luminance(colour: str) -> float:
    """Return the relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    [channels] = re.findall(r"^rgb\((\d+), (\d+), (\d+)\)$", colour)
    shares = [int(channel) / 255 for channel in channels]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def look_at(page: Page, name: str) -> None:
    """Check that the page fits a phone and a screen, and can be read by day and by night."""
    ARTEFACTS.mkdir(exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 640})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=ARTEFACTS / f"{name}-{scheme}-{width}.png")
        colours = page.evaluate(COLOURS)
        assert "H1" in [element for element, *_ in colours]
        for element, front, back, least in colours:
            assert contrast(front, back) >= least, (name, scheme, element, front, back)


@pytest.mark.parametrize("service", APIS[:1], indirect=True)
def test_every_page_can_be_read_by_anybody(page: Page, service: Service, tmp_path: Path) -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    page.goto(service.address)
    look_at(page, "empty")
    page.evaluate("document.forms[0].noValidate = true")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("New message").get_attribute("aria-describedby") == "error"
    look_at(page, "refused")
    for text in ("A message.", "x" * 255, SCRIPT, "\N{HEBREW LETTER SHIN}" * 40):
        page.get_by_label("New message").fill(text)
        page.keyboard.press("Enter")
        page.get_by_role("listitem").get_by_text(text, exact=True).wait_for()
    look_at(page, "messages")
    corrupt_the_database(tmp_path)
    page.reload()
    page.get_by_role("heading", name="The database cannot be reached").wait_for()
    look_at(page, "unavailable")


@pytest.mark.parametrize("service", APIS[1:], indirect=True)
def test_every_page_is_valid_html(service: Service, tmp_path: Path) -> None:
    with service.client() as client:
        pages = [client.get(), client.post(""), client.post(SCRIPT), client.get()]
        corrupt_the_database(tmp_path)
        pages += [client.get(), client.get("/nothing")]
    assert [page.status for page in pages] == [200, 400, 303, 200, 503, 404]
    for page in pages:
        parsed = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page.text)
        if page.status in {200, 400, 503}:
            assert parsed.get("lang") == "en"
            assert parsed.findtext("head/title") == parsed.findtext("body/main/h1")
