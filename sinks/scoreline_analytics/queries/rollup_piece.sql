-- Purpose: the part of rollup.sql that one projection holds, or the rows; its aggregates are the projections' own.
SELECT
    $groups,
    data_type,
    count() - countIf(status = 'failed') AS part_n,
    countIf(status = 'failed') AS part_failed,
    count(value) AS part_numbers,
    sum(value) AS part_total,
    sum(value * value) AS part_squares,
    min(value) AS part_low,
    max(value) AS part_high
FROM scores
WHERE $conditions
GROUP BY $keys, data_type
