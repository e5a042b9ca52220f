-- Purpose: the first and the last bucket of a rollup with chosen scores.
SELECT min(bucket), max(bucket), count()
FROM (SELECT $bucket AS bucket FROM scores WHERE $conditions GROUP BY bucket)
