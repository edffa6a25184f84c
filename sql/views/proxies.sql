-- What was made from each original: proxy, poster, sprite, sound, and how long it took.
-- Columns from: proxies
SELECT * FROM facts.proxies
