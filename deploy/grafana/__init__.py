"""Dashboards for Grafana, generated: `python -m deploy.grafana` writes `dashboards/*.json`."""
