-- Purpose: of each score name and type, the items with numbers on both of two sides, and what separates them.
-- Numbers of an item on a side are averaged; of true/false an item is a pair only where each side says it once.
SELECT
    name,
    data_type,
    count() AS pairs,
    avg(a_value) AS mean_a,
    avg(b_value) AS mean_b,
    avg(b_value - a_value) AS mean_difference,
    varSampStable(b_value - a_value) AS variance,
    countIf(a_value = 1 AND b_value = 0) AS only_a,
    countIf(a_value = 0 AND b_value = 1) AS only_b,
    sum(a_times) AS numbers_a,
    sum(b_times) AS numbers_b
FROM
(
    SELECT
        name,
        data_type,
        item,
        avgIf(number, in_a) AS a_value,
        avgIf(number, in_b) AS b_value,
        countIf(in_a) AS a_times,
        countIf(in_b) AS b_times
    FROM
    (
        SELECT name, data_type, $item AS item, assumeNotNull(value) AS number, ($in_a) AS in_a, ($in_b) AS in_b
        FROM scores
        WHERE (($in_a) OR ($in_b)) AND notEmpty($item) AND status != 'failed' AND isNotNull(value)
    )
    GROUP BY name, data_type, item
    HAVING if(data_type = 'BOOLEAN', a_times = 1 AND b_times = 1, a_times > 0 AND b_times > 0)
)
GROUP BY name, data_type
ORDER BY name, data_type
