-- Purpose: how many scores each group has, their mean, spread, extremes and exact quantiles, from the rows.
-- Places are filled with allow-listed fragments (statements.py); everything that a caller says is a bound parameter.
SELECT
    $groups,
    groupUniqArray(data_type) AS types,
    countIf(status != 'failed') AS n,
    countIf(status = 'failed') AS failed,
    count(value) AS numbers,
    avg(value) AS mean,
    varSampStable(value) AS variance,
    min(value) AS low,
    max(value) AS high,
    $quantiles AS quantiles
FROM scores
WHERE $conditions
GROUP BY $keys
ORDER BY n DESC, failed DESC, $keys
LIMIT {limit:UInt32}
