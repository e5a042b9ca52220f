-- Purpose: keys of a map column and how many scores have them.
SELECT arrayJoin($column.keys) AS key, count() AS n
FROM scores
WHERE $conditions
GROUP BY key
ORDER BY n DESC, key
LIMIT {limit:UInt32}
