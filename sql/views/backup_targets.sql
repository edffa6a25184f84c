-- Every backup target that was written to, with what is kept there.
-- Columns from: targets
-- contents: Different contents there.
-- bytes: Bytes of those contents.
-- oldest_verified_utc: When the copy that was re-read longest ago was last proven; null when one never was.
SELECT
    t.target_id, t.target, t.url, t.volume, t.offsite, t.price_per_tb_month, t.seen_utc,
    coalesce(c.contents, 0) AS contents, coalesce(c.bytes, 0)::BIGINT AS bytes, c.oldest_verified_utc
FROM ledger.targets t
LEFT JOIN (
    SELECT
        target_id, count(*) AS contents, sum(size_bytes) AS bytes,
        CASE WHEN count(*) = count(verified_utc) THEN min(verified_utc) END AS oldest_verified_utc
    FROM ledger.copies GROUP BY target_id
) c ON c.target_id = t.target_id
