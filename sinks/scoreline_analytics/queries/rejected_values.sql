-- Purpose: values of a column of rejected records, the most frequent first.
SELECT $column AS value
FROM rejected_scores
WHERE $conditions
GROUP BY value
ORDER BY count() DESC, value
LIMIT {limit:UInt32}
