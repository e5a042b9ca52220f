"""How fast a backlog becomes rows, and how many parts it makes; `python -m tests.benchmarks.sink`."""
