-- Purpose: how many scores each group has, their mean, spread, extremes and exact quantiles.
-- Places are filled with allow-listed fragments (statements.py); everything that a caller says is a bound parameter.
SELECT
    $groups,
    countIf(status != 'failed') AS count,
    countIf(status = 'failed') AS failed,
    avg(value) AS mean,
    stddevSampStable(value) AS sd,
    min(value) AS min,
    max(value) AS max,
    quantilesExactInclusive(0.5, 0.9, 0.95, 0.99)(value) AS quantiles
FROM scores
WHERE $conditions
GROUP BY $keys
ORDER BY $order
LIMIT {limit:UInt32}
