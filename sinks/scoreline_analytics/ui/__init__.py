"""The page. Nothing yet."""

from __future__ import annotations

from fastapi import FastAPI


def mount(app: FastAPI) -> None:
    """Put the page into the app, at /ui."""
