-- Purpose: of each score name and type, the items with exactly one number on each of two sides, and what separates them.
SELECT
    name,
    data_type,
    count() AS pairs,
    avg(a_value) AS mean_a,
    avg(b_value) AS mean_b,
    avg(b_value - a_value) AS mean_difference,
    varSampStable(b_value - a_value) AS variance,
    countIf(a_value = 1 AND b_value = 0) AS only_a,
    countIf(a_value = 0 AND b_value = 1) AS only_b
FROM
(
    SELECT
        name,
        data_type,
        item,
        anyIf(number, in_a) AS a_value,
        anyIf(number, in_b) AS b_value
    FROM
    (
        SELECT name, data_type, $item AS item, assumeNotNull(value) AS number, ($in_a) AS in_a, ($in_b) AS in_b
        FROM scores
        WHERE (($in_a) OR ($in_b)) AND notEmpty($item) AND status != 'failed' AND isNotNull(value)
    )
    GROUP BY name, data_type, item
    HAVING countIf(in_a) = 1 AND countIf(in_b) = 1
)
GROUP BY name, data_type
ORDER BY name, data_type
