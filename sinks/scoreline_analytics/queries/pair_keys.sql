-- Purpose: how many scores of a side carry each of the keys that can name an item.
SELECT $counts
FROM scores
WHERE $conditions
