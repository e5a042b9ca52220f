-- Purpose: how many numbers lie in each bin, below and above the bins. The edges are compared as they are: no arithmetic.
SELECT
    $groups,
    roundDown(assumeNotNull(value), $edges) AS edge,
    count() AS n,
    countIf(value < $low) AS below,
    countIf(value > $high) AS above
FROM scores
WHERE $conditions AND data_type = 'NUMERIC' AND isNotNull(value)
GROUP BY $keys, edge
LIMIT {limit:UInt32}
