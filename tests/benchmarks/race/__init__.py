"""The race: our worker and other engines do the same work on the same topic; `python -m tests.benchmarks.race`."""
