"""`make chaos`: kill and freeze every process of a real stack under load, then account for every acknowledged score.

    python -m tests.faults.chaos --seed 7 --seconds 600
    python -m tests.faults.chaos --kills 500

Three brokers with three copies of everything, ClickHouse, worker and sink, all real, under the supervisor that restarts
them; more workers and sinks come and go. Worker and sink reach Kafka through proxies that can lose an answer
(`proxy`), and are started through `victim`, which kills them at a named step of the protocol when asked to (`points`)
or breaks the protocol to see that it is noticed (`breaks`). `kinds` has every kind of fault, `oracle` the account.

A seed repeats the choice of faults, victims and pauses, not the moments at which the machine lets them happen.
"""
