-- Purpose: the items with exactly one score on each of two sides, whatever their names: numbers and labels of both.
SELECT
    anyIf(number, in_a) AS a_value,
    anyIf(number, in_b) AS b_value,
    anyIf(category, in_a) AS a_label,
    anyIf(category, in_b) AS b_label
FROM
(
    SELECT $item AS item, value AS number, toString(label) AS category, ($in_a) AS in_a, ($in_b) AS in_b
    FROM scores
    WHERE (($in_a) OR ($in_b)) AND notEmpty($item) AND status != 'failed'
)
GROUP BY item
HAVING countIf(in_a) = 1 AND countIf(in_b) = 1
LIMIT {limit:UInt32}
