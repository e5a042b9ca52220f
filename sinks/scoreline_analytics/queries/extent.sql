-- Purpose: the first and the last time of the chosen scores.
SELECT min(timestamp), max(timestamp), count()
FROM scores
WHERE $conditions
