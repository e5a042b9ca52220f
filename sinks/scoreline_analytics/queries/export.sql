-- Purpose: every chosen score, along the order of the table, so that nothing has to be sorted or kept.
SELECT $columns
FROM scores
WHERE $conditions
ORDER BY project, name, timestamp, score_id
