-- Every stored score, once: the values of scores.enriched, and where in that topic each row came from.
-- Partitions follow the arrival, not the judged time: an import of twenty years of scores must not make 240 partitions.
-- The rollups are projections, so that they live in the same part as their rows and are right whenever the rows are.
-- Those that hold offsets alone are indexes: an id is found by binary search, in any project. What each costs and
-- brings stands in docs/benchmarks.md.
CREATE TABLE IF NOT EXISTS scores${SHARD}${ON_CLUSTER}
(
    score_id String COMMENT 'Identity inside the project' CODEC(ZSTD(1)),
    project LowCardinality(String) COMMENT 'Tenant' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'What was judged, e.g. accuracy' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'ok, or failed where the judge came to no result' CODEC(ZSTD(1)),
    error String COMMENT 'What went wrong in the judge; empty: nothing' CODEC(ZSTD(1)),
    data_type LowCardinality(String) COMMENT 'NUMERIC, CATEGORICAL or BOOLEAN; empty: a failed score that does not say' CODEC(ZSTD(1)),
    value Nullable(Float64) COMMENT 'The number, 1 or 0 of a boolean, a category''s number; NULL for a category without one' CODEC(ZSTD(1)),
    label LowCardinality(String) COMMENT 'The category, true or false; empty for a number' CODEC(ZSTD(1)),
    normalized Nullable(Float64) COMMENT '0..1 by the config''s range, 1 the better end; NULL without one' CODEC(ZSTD(1)),
    config_id LowCardinality(String) COMMENT 'Score config it was checked against; empty: none' CODEC(ZSTD(1)),
    config_version UInt32 COMMENT 'Version of that config; 0: none' CODEC(T64, ZSTD(1)),
    target LowCardinality(String) COMMENT 'Most specific of its ids: observation, trace, session or dataset_run' CODEC(ZSTD(1)),
    trace_id String COMMENT 'Judged trace; empty: none' CODEC(ZSTD(1)),
    observation_id String COMMENT 'Judged observation of the trace; empty: none' CODEC(ZSTD(1)),
    session_id String COMMENT 'Judged session; empty: none' CODEC(ZSTD(1)),
    dataset_run_id String COMMENT 'Judged dataset run; empty: none' CODEC(ZSTD(1)),
    comment String COMMENT 'Free text of the judge; empty: none' CODEC(ZSTD(1)),
    metadata Map(LowCardinality(String), String) COMMENT 'Free fields; a value that is no string is its JSON text' CODEC(ZSTD(1)),
    lookups Map(LowCardinality(String), String) COMMENT 'field.attribute, and what scores.lookups knows of it' CODEC(ZSTD(1)),
    timestamp DateTime64(6, 'UTC') COMMENT 'When it was judged' CODEC(Delta(8), ZSTD(1)),
    source LowCardinality(String) COMMENT 'Kind of judge: API, EVAL or ANNOTATION' CODEC(ZSTD(1)),
    evaluator_name LowCardinality(String) COMMENT 'Automated judge; empty: none' CODEC(ZSTD(1)),
    evaluator_version LowCardinality(String) COMMENT 'Its version; empty: none' CODEC(ZSTD(1)),
    evaluator_model LowCardinality(String) COMMENT 'Its model; empty: none' CODEC(ZSTD(1)),
    author LowCardinality(String) COMMENT 'Person who judged; empty: none' CODEC(ZSTD(1)),
    service LowCardinality(String) COMMENT 'Service that emitted it; empty: none' CODEC(ZSTD(1)),
    environment LowCardinality(String) COMMENT 'Environment of that service; empty: none' CODEC(ZSTD(1)),
    release LowCardinality(String) COMMENT 'Release of that service; empty: none' CODEC(ZSTD(1)),
    schema_version UInt16 COMMENT 'Version of the record''s contract' CODEC(T64, ZSTD(1)),
    received_at DateTime64(6, 'UTC') COMMENT 'Kafka timestamp of the raw record' CODEC(GCD, Delta(8), ZSTD(1)),
    delay_s Float64 ALIAS (toUnixTimestamp64Micro(received_at) - toUnixTimestamp64Micro(timestamp)) / 1e6 COMMENT 'Seconds from timestamp to received_at',
    late Bool ALIAS delay_s > 3600 COMMENT 'Whether that is more than an hour',
    raw_partition UInt16 COMMENT 'Partition of the raw record in scores.raw' CODEC(T64, ZSTD(1)),
    raw_offset UInt64 COMMENT 'Offset of the raw record in scores.raw' CODEC(Delta(8), ZSTD(1)),
    src_partition UInt16 DEFAULT 65535 COMMENT 'Partition of the row''s record in scores.enriched' CODEC(T64, ZSTD(1)),
    src_offset UInt64 COMMENT 'Offset of the row''s record in scores.enriched' CODEC(T64, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse took the row' CODEC(Delta(8), ZSTD(1)),

    CONSTRAINT is_a_score CHECK score_id != '' AND project != '' AND name != '',
    -- A record that holds a second object would make a second row, one without coordinates.
    CONSTRAINT one_row_per_record CHECK src_partition != 65535,

    INDEX src_coordinates (src_partition, src_offset) TYPE minmax GRANULARITY 1,
    INDEX raw_coordinates (raw_partition, raw_offset) TYPE minmax GRANULARITY 1,
    -- The client's ids begin with their time: extremes leave few granules for the filter to be asked about.
    INDEX score_id_extremes score_id TYPE minmax GRANULARITY 1,
    INDEX score_ids score_id TYPE bloom_filter(0.01) GRANULARITY 1,

    PROJECTION by_trace (SELECT _part_offset ORDER BY trace_id),
    PROJECTION by_session (SELECT _part_offset ORDER BY session_id),
    PROJECTION by_dataset_run (SELECT _part_offset ORDER BY dataset_run_id),
    PROJECTION by_minute
    (
        SELECT
            project, name, data_type, toStartOfMinute(timestamp),
            count(), countIf(status = 'failed'), count(value), sum(value), sum(value * value), min(value), max(value),
            count(normalized), sum(normalized)
        GROUP BY project, name, data_type, toStartOfMinute(timestamp)
    ),
    PROJECTION by_hour
    (
        SELECT
            project, name, data_type, label, toStartOfHour(timestamp),
            count(), countIf(status = 'failed'), count(value), sum(value), sum(value * value), min(value), max(value),
            count(normalized), sum(normalized)
        GROUP BY project, name, data_type, label, toStartOfHour(timestamp)
    ),
    PROJECTION by_day
    (
        SELECT
            project, name, data_type, label, toStartOfDay(timestamp),
            count(), countIf(status = 'failed'), count(value), sum(value), sum(value * value), min(value), max(value),
            count(normalized), sum(normalized)
        GROUP BY project, name, data_type, label, toStartOfDay(timestamp)
    ),
    PROJECTION by_origin
    (
        SELECT
            project, name, data_type, label, service, environment, release, toStartOfDay(timestamp),
            count(), countIf(status = 'failed'), count(value), sum(value), sum(value * value), min(value), max(value),
            count(normalized), sum(normalized)
        GROUP BY project, name, data_type, label, service, environment, release, toStartOfDay(timestamp)
    ),
    PROJECTION by_src_partition
    (
        SELECT src_partition, count(), min(src_offset), max(src_offset)
        GROUP BY src_partition
    )
)
ENGINE = ${REPLICATED}MergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (project, name, timestamp, score_id)
-- A server whose disk fills up in the middle of an insert can acknowledge a part that is cut short.
SETTINGS ${WINDOW} = 10000, min_free_disk_bytes_to_perform_insert = 268435456,
    ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1
COMMENT 'Every stored score, once';

${CLUSTER_ONLY}CREATE TABLE IF NOT EXISTS scores${ON_CLUSTER} AS scores${SHARD} ENGINE = Distributed(${CLUSTER}, currentDatabase(), scores${SHARD}, cityHash64(project, score_id)) COMMENT 'Every stored score, once, over all shards';
