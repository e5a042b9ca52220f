-- Purpose: when the latest score of each project, name and type was judged.
SELECT project, name, data_type, max(timestamp)
FROM scores
WHERE $conditions
GROUP BY project, name, data_type
