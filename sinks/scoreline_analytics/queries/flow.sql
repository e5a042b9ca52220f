-- Purpose: how many scores were stored lately, and how long each hop took, from the rows.
-- A backlog can be received days before it is inserted; the bound on that time is there to leave old parts out.
SELECT
    count() AS n,
    countIf(late) AS n_late,
    quantilesIf($quantiles)(greatest(delay_s, 0), NOT late) AS to_kafka,
    quantiles($quantiles)(greatest(dateDiff('microsecond', received_at, toDateTime64(inserted_at, 6)) / 1e6, 0)) AS to_row,
    quantilesIf($quantiles)(greatest(dateDiff('microsecond', timestamp, toDateTime64(inserted_at, 6)) / 1e6, 0), NOT late)
        AS to_query
FROM scores
WHERE $conditions
