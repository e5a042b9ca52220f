"""What a server's pages and style sheets refer to."""

from __future__ import annotations

import re
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx

_IN_PAGES = re.compile(
    r"""\b(?:src|href|action)\s*=\s*["']([^"']+)["']|\burl\(\s*["']?([^"')]+)|@import\s+["']([^"']+)"""
)
_READ = ("text/html", "text/css")


def references(page: str) -> set[str]:
    """Addresses that a page refers to, those of its style sheets and of the pages of its server that it links to too.

    Fails when the server does not answer one of its own with 200.
    """
    seen: set[str] = set()
    todo = [page]
    while todo:
        url = todo.pop()
        answer = httpx.get(url, follow_redirects=True, timeout=30)
        assert answer.status_code == 200, (url, answer.status_code)
        if not answer.headers["content-type"].startswith(_READ):
            continue
        for groups in _IN_PAGES.findall(answer.text):
            found, _ = urldefrag(urljoin(str(answer.url), "".join(groups)))
            if found not in seen and not found.startswith("data:"):
                seen.add(found)
                todo += [found] if urlsplit(found).netloc == urlsplit(page).netloc else []
    return seen


def hosts_of(page: str) -> set[str]:
    """The servers that those addresses name."""
    return {urlsplit(found).netloc for found in references(page)}
