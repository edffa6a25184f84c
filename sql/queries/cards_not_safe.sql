-- Which cards must not be formatted: their newest offload ended NOT SAFE, and why?
WITH newest AS (SELECT source, card, max(offload_id) AS offload_id FROM offloads GROUP BY source, card)
SELECT card, source, started_utc, destination, verified, files, reasons
FROM offloads SEMI JOIN newest USING (source, card, offload_id)
WHERE verdict = 'NOT SAFE'
ORDER BY started_utc DESC, destination
