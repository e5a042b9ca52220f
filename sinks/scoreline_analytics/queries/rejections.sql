-- Purpose: how many records were rejected for each reason, from each service, and where the latest of them stands.
SELECT
    reason,
    service,
    count() AS n,
    countIf((src_partition, src_offset) IN (SELECT src_partition, src_offset FROM dead_letter_actions)) AS handled,
    max(rejected_at) AS last,
    argMax((src_partition, src_offset), (rejected_at, src_partition, src_offset)) AS example
FROM rejected_scores
WHERE $conditions
GROUP BY reason, service
ORDER BY n DESC, reason, service
LIMIT {limit:UInt32}
