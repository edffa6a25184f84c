-- What does each backup target hold, and cost in a month?
SELECT target, url, contents, round(bytes / 1e9, 3) AS gb, price_per_tb_month,
    round(bytes / 1e12 * price_per_tb_month, 2) AS cost_per_month
FROM backup_targets
ORDER BY target
