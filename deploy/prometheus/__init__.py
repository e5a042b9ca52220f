"""Alert rules for Prometheus, as code."""
