-- Purpose: the rollup's bucket with the latest scores of each project, name and type.
SELECT project, name, max(bucket)
FROM (SELECT project, name, data_type, $bucket AS bucket FROM scores WHERE $conditions GROUP BY project, name, data_type, bucket)
GROUP BY project, name, data_type
