-- Every rejected record with its original bytes, why it was rejected, where it came from, and what was done about it.
CREATE TABLE IF NOT EXISTS rejected_scores${SHARD}${ON_CLUSTER}
(
    rejected_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the rejected record' CODEC(Delta(8), ZSTD(1)),
    reason LowCardinality(String) COMMENT 'Why, one of the contract''s reasons; empty: the record says none' CODEC(ZSTD(1)),
    detail String COMMENT 'What was found and what was expected' CODEC(ZSTD(1)),
    stage LowCardinality(String) COMMENT 'Where on its way it was rejected' CODEC(ZSTD(1)),
    project LowCardinality(String) COMMENT 'Tenant by the key, else by the value; empty: not readable' CODEC(ZSTD(1)),
    score_id String COMMENT 'Id by the key, else by the value; empty: not readable' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'What was judged, by the value; empty: not readable' CODEC(ZSTD(1)),
    service LowCardinality(String) COMMENT 'Who sent it, by the value; empty: not readable' CODEC(ZSTD(1)),
    key Nullable(String) COMMENT 'Original key, byte for byte' CODEC(ZSTD(1)),
    value Nullable(String) COMMENT 'Original value, byte for byte; NULL: a tombstone' CODEC(ZSTD(1)),
    headers Array(Tuple(name String, value Nullable(String))) COMMENT 'Original headers in order, values byte for byte' CODEC(ZSTD(1)),
    raw_topic LowCardinality(String) COMMENT 'Topic of the raw record; empty: the record says none' CODEC(ZSTD(1)),
    raw_partition UInt16 COMMENT 'Partition of the raw record' CODEC(T64, ZSTD(1)),
    raw_offset UInt64 COMMENT 'Offset of the raw record' CODEC(Delta(8), ZSTD(1)),
    raw_timestamp DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the raw record' CODEC(Delta(8), ZSTD(1)),
    src_partition UInt16 COMMENT 'Partition of the row''s record in scores.rejected' CODEC(T64, ZSTD(1)),
    src_offset UInt64 COMMENT 'Offset of the row''s record in scores.rejected' CODEC(T64, ZSTD(1)),
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse took the row' CODEC(Delta(8), ZSTD(1)),

    INDEX src_coordinates (src_partition, src_offset) TYPE minmax GRANULARITY 1,
    INDEX raw_coordinates (raw_partition, raw_offset) TYPE minmax GRANULARITY 1,
    INDEX score_ids score_id TYPE bloom_filter(0.01) GRANULARITY 1,

    PROJECTION by_hour
    (
        SELECT project, reason, service, name, toStartOfHour(rejected_at), count(), max(rejected_at)
        GROUP BY project, reason, service, name, toStartOfHour(rejected_at)
    ),
    PROJECTION by_src_partition
    (
        SELECT src_partition, count(), min(src_offset), max(src_offset)
        GROUP BY src_partition
    )
)
ENGINE = ${REPLICATED}MergeTree
PARTITION BY toYYYYMM(rejected_at)
ORDER BY (project, reason, rejected_at, score_id)
-- A server whose disk fills up in the middle of an insert can acknowledge a part that is cut short.
SETTINGS ${WINDOW} = 10000, min_free_disk_bytes_to_perform_insert = 268435456,
    ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1
COMMENT 'Every rejected record, once';

${CLUSTER_ONLY}CREATE TABLE IF NOT EXISTS rejected_scores${ON_CLUSTER} AS rejected_scores${SHARD} ENGINE = Distributed(${CLUSTER}, currentDatabase(), rejected_scores${SHARD}, cityHash64(project, score_id)) COMMENT 'Every rejected record, once, over all shards';

CREATE VIEW IF NOT EXISTS rejections_by_hour${ON_CLUSTER}
(
    project LowCardinality(String) COMMENT 'Tenant; empty: not readable',
    reason LowCardinality(String) COMMENT 'Why',
    service LowCardinality(String) COMMENT 'Who sent it; empty: not readable',
    name LowCardinality(String) COMMENT 'What was judged; empty: not readable',
    hour DateTime('UTC') COMMENT 'Start of the hour of the rejection',
    rejections UInt64 COMMENT 'Rejected records',
    last_rejected_at DateTime64(3, 'UTC') COMMENT 'The latest of them'
)
AS SELECT
    project, reason, service, name, toStartOfHour(rejected_at) AS hour,
    count() AS rejections, max(rejected_at) AS last_rejected_at
FROM rejected_scores
GROUP BY project, reason, service, name, hour
COMMENT 'Rejected records by hour';

CREATE TABLE IF NOT EXISTS dead_letter_actions${SHARD}${ON_CLUSTER}
(
    src_partition UInt16 COMMENT 'Partition of the record in scores.rejected' CODEC(T64, ZSTD(1)),
    src_offset UInt64 COMMENT 'Offset of the record in scores.rejected' CODEC(Delta(8), ZSTD(1)),
    action LowCardinality(String) COMMENT 'replayed: sent to the raw topic again; discarded: nobody wants it' CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'When that was done' CODEC(Delta(8), ZSTD(1)),
    by LowCardinality(String) COMMENT 'Who did it, user@host' CODEC(ZSTD(1)),
    why String COMMENT 'The reason given; of a replay the patch' CODEC(ZSTD(1))
)
ENGINE = ${REPLICATED}ReplacingMergeTree(at)
ORDER BY (src_partition, src_offset)
COMMENT 'What scoreline dlq did about rejected records, the latest of each';

${CLUSTER_ONLY}CREATE TABLE IF NOT EXISTS dead_letter_actions${ON_CLUSTER} AS dead_letter_actions${SHARD} ENGINE = Distributed(${CLUSTER}, currentDatabase(), dead_letter_actions${SHARD}, cityHash64(src_partition, src_offset)) COMMENT 'What scoreline dlq did about rejected records, over all shards';
