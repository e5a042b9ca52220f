"""Write the alert rules as the file that Prometheus loads, and their tests as the file that promtool runs."""

from __future__ import annotations

from deploy.prometheus.alerts import RULES_FILE, TESTS_FILE, promtool_tests_text, rules_text


def main() -> None:
    """Replace the files."""
    RULES_FILE.write_text(rules_text())
    TESTS_FILE.write_text(promtool_tests_text())


if __name__ == "__main__":
    main()
