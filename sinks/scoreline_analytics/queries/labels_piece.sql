-- Purpose: the part of labels.sql that one projection holds, or the rows.
SELECT $groups, label, count() - countIf(status = 'failed') AS part_n
FROM scores
WHERE $conditions AND data_type IN ('CATEGORICAL', 'BOOLEAN')
GROUP BY $keys, label
