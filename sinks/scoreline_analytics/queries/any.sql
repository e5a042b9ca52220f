-- Purpose: whether there is a score.
SELECT 1
FROM scores
WHERE $conditions
LIMIT 1
