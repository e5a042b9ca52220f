"""`scoreline reconcile`: proves that every raw record is exactly one of stored, duplicate, rejected.

cli ──► run ──► walk (one partition) ──► tally ──► report
         │       ├── raw: records                          Kafka
         │       ├── store: offsets and rows               ClickHouse
         │       ├── compare: offsets against offsets      pure
         │       └── claims: a record against its id's row pure
         └── raw: from where to where, is the sink that far
"""
