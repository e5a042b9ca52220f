"""Write the dashboards as files that Grafana imports or provisions."""

from __future__ import annotations

from deploy.grafana.dashboards import FOLDER, dashboards, text_of
from deploy.grafana.health import health_dashboards


def main() -> None:
    """Replace the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, dashboard in (dashboards() | health_dashboards()).items():
        (FOLDER / f"{name}.json").write_text(text_of(dashboard))


if __name__ == "__main__":
    main()
