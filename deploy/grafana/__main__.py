"""Write the dashboards as files that Grafana imports or provisions."""

from __future__ import annotations

from deploy.grafana.dashboards import FOLDER, dashboards, text_of


def main() -> None:
    """Replace the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, dashboard in dashboards().items():
        (FOLDER / f"{name}.json").write_text(text_of(dashboard))


if __name__ == "__main__":
    main()
