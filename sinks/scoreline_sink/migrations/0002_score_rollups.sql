-- Views for people. Each is written on the expression of a projection of `scores`, so that it reads the rollup and not
-- the rows. A filter on the bucket column keeps that; one on the raw timestamp belongs to `scores` itself.
CREATE VIEW IF NOT EXISTS scores_by_minute${ON_CLUSTER}
(
    project LowCardinality(String) COMMENT 'Tenant',
    name LowCardinality(String) COMMENT 'What was judged',
    data_type LowCardinality(String) COMMENT 'NUMERIC, CATEGORICAL or BOOLEAN',
    minute DateTime('UTC') COMMENT 'Start of the minute of the judged time',
    scores UInt64 COMMENT 'Scores, failed ones apart',
    failed UInt64 COMMENT 'Scores whose judge failed',
    value_count UInt64 COMMENT 'Scores with a value',
    value_sum Nullable(Float64) COMMENT 'Sum of the values; NULL without one',
    value_squares Nullable(Float64) COMMENT 'Sum of the squared values; NULL without one',
    value_min Nullable(Float64) COMMENT 'Smallest value; NULL without one',
    value_max Nullable(Float64) COMMENT 'Largest value; NULL without one',
    value_mean Nullable(Float64) COMMENT 'Mean of the values; NULL without one. Across rows take sum(value_sum) / sum(value_count)',
    normalized_count UInt64 COMMENT 'Scores with a normalized value',
    normalized_sum Nullable(Float64) COMMENT 'Sum of the normalized values; NULL without one'
)
AS SELECT
    project, name, data_type, toStartOfMinute(timestamp) AS minute,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    count(value) AS value_count, sum(value) AS value_sum, sum(value * value) AS value_squares,
    min(value) AS value_min, max(value) AS value_max, sum(value) / nullIf(count(value), 0) AS value_mean,
    count(normalized) AS normalized_count, sum(normalized) AS normalized_sum
FROM scores
GROUP BY project, name, data_type, minute
COMMENT 'Scores by minute of the judged time';

CREATE VIEW IF NOT EXISTS scores_by_hour${ON_CLUSTER}
(
    project LowCardinality(String) COMMENT 'Tenant',
    name LowCardinality(String) COMMENT 'What was judged',
    data_type LowCardinality(String) COMMENT 'NUMERIC, CATEGORICAL or BOOLEAN',
    hour DateTime('UTC') COMMENT 'Start of the hour of the judged time',
    scores UInt64 COMMENT 'Scores, failed ones apart',
    failed UInt64 COMMENT 'Scores whose judge failed',
    value_count UInt64 COMMENT 'Scores with a value',
    value_sum Nullable(Float64) COMMENT 'Sum of the values; NULL without one',
    value_squares Nullable(Float64) COMMENT 'Sum of the squared values; NULL without one',
    value_min Nullable(Float64) COMMENT 'Smallest value; NULL without one',
    value_max Nullable(Float64) COMMENT 'Largest value; NULL without one',
    value_mean Nullable(Float64) COMMENT 'Mean of the values; NULL without one. Across rows take sum(value_sum) / sum(value_count)',
    normalized_count UInt64 COMMENT 'Scores with a normalized value',
    normalized_sum Nullable(Float64) COMMENT 'Sum of the normalized values; NULL without one'
)
AS SELECT
    project, name, data_type, toStartOfHour(timestamp) AS hour,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    count(value) AS value_count, sum(value) AS value_sum, sum(value * value) AS value_squares,
    min(value) AS value_min, max(value) AS value_max, sum(value) / nullIf(count(value), 0) AS value_mean,
    count(normalized) AS normalized_count, sum(normalized) AS normalized_sum
FROM scores
GROUP BY project, name, data_type, hour
COMMENT 'Scores by hour of the judged time';

CREATE VIEW IF NOT EXISTS scores_by_day${ON_CLUSTER}
(
    project LowCardinality(String) COMMENT 'Tenant',
    name LowCardinality(String) COMMENT 'What was judged',
    data_type LowCardinality(String) COMMENT 'NUMERIC, CATEGORICAL or BOOLEAN',
    day DateTime('UTC') COMMENT 'Start of the day of the judged time',
    scores UInt64 COMMENT 'Scores, failed ones apart',
    failed UInt64 COMMENT 'Scores whose judge failed',
    value_count UInt64 COMMENT 'Scores with a value',
    value_sum Nullable(Float64) COMMENT 'Sum of the values; NULL without one',
    value_squares Nullable(Float64) COMMENT 'Sum of the squared values; NULL without one',
    value_min Nullable(Float64) COMMENT 'Smallest value; NULL without one',
    value_max Nullable(Float64) COMMENT 'Largest value; NULL without one',
    value_mean Nullable(Float64) COMMENT 'Mean of the values; NULL without one. Across rows take sum(value_sum) / sum(value_count)',
    normalized_count UInt64 COMMENT 'Scores with a normalized value',
    normalized_sum Nullable(Float64) COMMENT 'Sum of the normalized values; NULL without one'
)
AS SELECT
    project, name, data_type, toStartOfDay(timestamp) AS day,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    count(value) AS value_count, sum(value) AS value_sum, sum(value * value) AS value_squares,
    min(value) AS value_min, max(value) AS value_max, sum(value) / nullIf(count(value), 0) AS value_mean,
    count(normalized) AS normalized_count, sum(normalized) AS normalized_sum
FROM scores
GROUP BY project, name, data_type, day
COMMENT 'Scores by day of the judged time';

CREATE VIEW IF NOT EXISTS scores_by_origin${ON_CLUSTER}
(
    project LowCardinality(String) COMMENT 'Tenant',
    name LowCardinality(String) COMMENT 'What was judged',
    data_type LowCardinality(String) COMMENT 'NUMERIC, CATEGORICAL or BOOLEAN',
    label LowCardinality(String) COMMENT 'The category, true or false; empty for a number',
    service LowCardinality(String) COMMENT 'Service that emitted it; empty: none',
    environment LowCardinality(String) COMMENT 'Environment of that service; empty: none',
    release LowCardinality(String) COMMENT 'Release of that service; empty: none',
    day DateTime('UTC') COMMENT 'Start of the day of the judged time',
    scores UInt64 COMMENT 'Scores, failed ones apart',
    failed UInt64 COMMENT 'Scores whose judge failed',
    value_count UInt64 COMMENT 'Scores with a value',
    value_sum Nullable(Float64) COMMENT 'Sum of the values; NULL without one',
    value_squares Nullable(Float64) COMMENT 'Sum of the squared values; NULL without one',
    value_min Nullable(Float64) COMMENT 'Smallest value; NULL without one',
    value_max Nullable(Float64) COMMENT 'Largest value; NULL without one',
    value_mean Nullable(Float64) COMMENT 'Mean of the values; NULL without one. Across rows take sum(value_sum) / sum(value_count)',
    normalized_count UInt64 COMMENT 'Scores with a normalized value',
    normalized_sum Nullable(Float64) COMMENT 'Sum of the normalized values; NULL without one'
)
AS SELECT
    project, name, data_type, label, service, environment, release, toStartOfDay(timestamp) AS day,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    count(value) AS value_count, sum(value) AS value_sum, sum(value * value) AS value_squares,
    min(value) AS value_min, max(value) AS value_max, sum(value) / nullIf(count(value), 0) AS value_mean,
    count(normalized) AS normalized_count, sum(normalized) AS normalized_sum
FROM scores
GROUP BY project, name, data_type, label, service, environment, release, day
COMMENT 'Scores by day of the judged time and by where they came from';

-- Of a view with parameters the server keeps no columns, and so no comments on them.
CREATE VIEW IF NOT EXISTS scores_series${ON_CLUSTER}
AS SELECT
    data_type, toStartOfInterval(toStartOfHour(timestamp), toIntervalSecond({step:UInt32})) AS time,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    sum(value) / nullIf(count(value), 0) AS value_mean, min(value) AS value_min, max(value) AS value_max
FROM scores
WHERE {step:UInt32} % 3600 = 0 AND project = {project:String} AND name = {name:String}
    AND toStartOfHour(timestamp) >= toStartOfHour(toDateTime({since:String}, 'UTC'))
    AND toStartOfHour(timestamp) < toDateTime({until:String}, 'UTC')
GROUP BY data_type, time
UNION ALL
SELECT
    data_type, toStartOfInterval(toStartOfMinute(timestamp), toIntervalSecond({step:UInt32})) AS time,
    count() - countIf(status = 'failed') AS scores, countIf(status = 'failed') AS failed,
    sum(value) / nullIf(count(value), 0) AS value_mean, min(value) AS value_min, max(value) AS value_max
FROM scores
WHERE {step:UInt32} % 3600 != 0 AND project = {project:String} AND name = {name:String}
    AND toStartOfMinute(timestamp) >= toStartOfMinute(toDateTime({since:String}, 'UTC'))
    AND toStartOfMinute(timestamp) < toDateTime({until:String}, 'UTC')
GROUP BY data_type, time
COMMENT 'One name over time: scores_series(project = ''p'', name = ''n'', since = ''2026-01-01 00:00:00'', until = ''2026-02-01 00:00:00'', step = 86400). Times in UTC, rounded down to the hour (to the minute where step is no whole hours); step in seconds';

CREATE VIEW IF NOT EXISTS scores_shares${ON_CLUSTER}
AS SELECT label, count() - countIf(status = 'failed') AS scores, scores / sum(scores) OVER () AS share
FROM scores
WHERE project = {project:String} AND name = {name:String}
    AND toStartOfHour(timestamp) >= toStartOfHour(toDateTime({since:String}, 'UTC'))
    AND toStartOfHour(timestamp) < toDateTime({until:String}, 'UTC')
GROUP BY label
HAVING scores > 0
COMMENT 'Share of each category, or of true and false: scores_shares(project = ''p'', name = ''n'', since = ''2026-01-01 00:00:00'', until = ''2026-02-01 00:00:00''). Times in UTC, rounded down to the hour';

-- Without that setting the server leaves the projections of offsets alone in parts of less than a million rows, and reads
-- those parts.
CREATE VIEW IF NOT EXISTS scores_of_id${ON_CLUSTER}
AS SELECT * FROM scores WHERE score_id = {score_id:String} SETTINGS min_table_rows_to_use_projection_index = 0
COMMENT 'The score of an id, in each project that has one, found by its index: scores_of_id(score_id = ''…'')';

CREATE VIEW IF NOT EXISTS scores_of_trace${ON_CLUSTER}
AS SELECT * FROM scores WHERE trace_id = {trace_id:String} SETTINGS min_table_rows_to_use_projection_index = 0
COMMENT 'Every score of a trace, found by its index: scores_of_trace(trace_id = ''…'')';

CREATE VIEW IF NOT EXISTS scores_of_session${ON_CLUSTER}
AS SELECT * FROM scores WHERE session_id = {session_id:String} SETTINGS min_table_rows_to_use_projection_index = 0
COMMENT 'Every score of a session, found by its index: scores_of_session(session_id = ''…'')';

CREATE VIEW IF NOT EXISTS scores_of_dataset_run${ON_CLUSTER}
AS SELECT * FROM scores WHERE dataset_run_id = {dataset_run_id:String} SETTINGS min_table_rows_to_use_projection_index = 0
COMMENT 'Every score of a dataset run, found by its index: scores_of_dataset_run(dataset_run_id = ''…'')';
