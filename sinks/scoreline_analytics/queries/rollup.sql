-- Purpose: how many scores each group has, their sums and extremes, from the rollups as far as they reach.
-- Places are filled with allow-listed fragments (statements.py); everything that a caller says is a bound parameter.
SELECT
    $columns,
    groupUniqArray(data_type) AS types,
    sum(part_n) AS n,
    sum(part_failed) AS failed,
    sum(part_numbers) AS numbers,
    sum(part_total) AS total,
    sum(part_squares) AS squares,
    min(part_low) AS low,
    max(part_high) AS high
FROM ($pieces)
GROUP BY $keys
ORDER BY n DESC, failed DESC, $keys
LIMIT {limit:UInt32}
