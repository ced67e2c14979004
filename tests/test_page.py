"""The page of a Flask project in a real browser."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, sync_playwright

from conftest import Project, Render, missing
from variants import APIS, DISTRIBUTION, PACKAGE, PROJECT_NAME, ROOT

ARTEFACTS = ROOT / "artifacts"


def find_browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    for path in (os.environ.get("TEST_CHROMIUM"), *map(shutil.which, names)):
        if path:
            return path
    missing(
        "No Chromium is installed. Install your distribution's package, "
        "or name its program in TEST_CHROMIUM."
    )
    raise AssertionError


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = find_browser()
    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser.new_page()
        browser.close()


@pytest.fixture(params=APIS)
def site(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Iterator[str]:
    """The address of a project's page, served as its README says."""
    folder = render(
        tmp_path / "project", project_name=PROJECT_NAME, api=request.param, framework="flask"
    )
    project = Project(folder, DISTRIBUTION)
    project.install()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(project.bin / "flask"), "--app", PACKAGE, "run", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server,
    ):
        address = f"http://127.0.0.1:{port}/"
        for _ in range(100):
            try:
                urlopen(address).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
        server.terminate()


def test_a_person_adds_a_script_and_sees_it_as_text(page: Page, site: str) -> None:
    problems: list[str] = []
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    text = "<script>alert(1)</script>"
    page.goto(site)
    assert page.get_by_text("There are no messages yet.").is_visible()
    page.get_by_label("New message").fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("listitem").wait_for()
    assert page.get_by_role("listitem").all_inner_texts() == [text]
    page.reload()
    assert page.get_by_role("listitem").all_inner_texts() == [text]
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"page-{width}.png")
    assert [problem for problem in problems if "favicon" not in problem] == []
