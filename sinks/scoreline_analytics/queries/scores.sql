-- Purpose: whole scores in an order, the first of them.
SELECT $columns
FROM scores
WHERE $conditions
ORDER BY $order
LIMIT $limit
