-- Purpose: how many records were rejected for each reason, from each service, and where the latest of them stands.
-- GLOBAL: a cluster refuses to ask one spread table inside another on every shard; on one server it means nothing.
SELECT
    reason,
    service,
    count() AS n,
    countIf((src_partition, src_offset) GLOBAL IN (SELECT src_partition, src_offset FROM dead_letter_actions)) AS handled,
    max(rejected_at) AS last,
    argMax((src_partition, src_offset), (rejected_at, src_partition, src_offset)) AS example
FROM rejected_scores
WHERE $conditions
GROUP BY reason, service
ORDER BY n DESC, reason, service
LIMIT {limit:UInt32}
