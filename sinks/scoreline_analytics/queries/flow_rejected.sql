-- Purpose: how many records were rejected lately.
SELECT count()
FROM rejected_scores
WHERE $conditions
