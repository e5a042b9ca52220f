"""The OpenAPI document for people: Swagger UI, all of it from this installation."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.staticfiles import StaticFiles

PATH = "/docs"
_FILES = "/docs/files"


def add_documentation(app: FastAPI) -> None:
    """Serve it at `PATH`. The app is to be made with `docs_url=None`: FastAPI's own page has a CDN serve its script."""
    app.mount(_FILES, StaticFiles(packages=[("fastapi_swagger", "resources")]))

    async def documentation() -> Response:
        # Relative, so that they hold behind a proxy that adds a path.
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{_FILES[1:]}/swagger-ui-bundle.js",
            swagger_css_url=f"{_FILES[1:]}/swagger-ui.css",
            swagger_favicon_url=f"{_FILES[1:]}/favicon-32x32.png",
        )

    app.add_api_route(PATH, documentation, include_in_schema=False)
