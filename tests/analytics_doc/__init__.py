"""Runs what docs/analytics.md shows: its commands and its Python, on a real ClickHouse, and draws its pictures."""
