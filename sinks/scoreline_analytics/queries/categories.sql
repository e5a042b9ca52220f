-- Purpose: how often each category was given in each group, from the rollups as far as they reach.
SELECT $columns, label, sum(part_n) AS n
FROM ($pieces)
GROUP BY $keys, label
HAVING n > 0
ORDER BY n DESC, label
LIMIT {categories:UInt32} BY $keys
LIMIT {limit:UInt32}
