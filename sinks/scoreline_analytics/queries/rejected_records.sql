-- Purpose: some rejected records by their places in the topic, with the beginning of their bytes as text.
SELECT
    src_partition, src_offset, project, score_id, name, stage, detail,
    toValidUTF8(key) AS key_text, length(value) AS value_bytes, toValidUTF8(substring(value, 1, {bytes:UInt32})) AS value_text
FROM rejected_scores
WHERE (src_partition, src_offset) IN $places AND $conditions
