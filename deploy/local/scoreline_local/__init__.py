"""The local stack: a real Kafka and a real ClickHouse on this machine, with worker and sink, under one supervisor.

- `cli`: `scoreline up | down | status`, over `stack`, which has them as functions
- `recipe`: the plan of scoreline itself: Kafka, ClickHouse, topics, migrations, worker, sink
- `plan`: what shall run, as data, and what is known of it while it runs
- `supervisor`: the process that starts a plan, restarts what dies and stops everything; `probes`: when a part is ready
- `kafka`, `jars`, `java`: a broker from its jars
- `clickhouse`, `clickhouse_server`: a server out of the chdb wheel
- `datadir`, `ports`, `lag`: what lies where, who listens where, how far the consumer groups are behind
"""
