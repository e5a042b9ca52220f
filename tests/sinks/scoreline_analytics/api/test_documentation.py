"""The pages of the read side come whole from it, wherever it runs."""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, sync_playwright

from tests.referring import hosts_of
from tests.running_ui import Ui

CHROMIUM = shutil.which("chromium")
NAME = "scores.example"
"""Not localhost, where Swagger UI asks less of others."""


@pytest.mark.parametrize("path", ["/docs", "/ui"])
def test_no_page_refers_to_another_host(ui: Ui, path: str) -> None:
    """Nor does what it loads; and all that it refers to is there."""
    assert hosts_of(ui.url + path) == {urlsplit(ui.url).netloc}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")
def test_the_documentation_is_shown_and_asks_for_nothing_elsewhere(ui: Ui) -> None:
    """In a browser that could reach others: every question is there to be tried."""
    asked: set[str] = set()

    def note(route: Route) -> None:
        asked.add(urlsplit(route.request.url).hostname or "")
        route.continue_() if asked <= {NAME, ""} else route.abort()

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.route("**/*", note)
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"http://{NAME}:{ui.settings.ui_port}/docs")
        page.wait_for_selector("#operations-figures-summary_v1_summary_get")
        assert page.locator(".opblock").count() >= 15
        browser.close()
    assert (asked, errors) == ({NAME}, [])
