-- Which words are said most, and in how many clips?
SELECT lower(regexp_replace(w.word, '[^\p{L}\p{N}'']', '', 'g')) AS word, count(*) AS times,
       count(DISTINCT w.media_id) AS clips
FROM transcript_words w
WHERE length(w.word) > 4
GROUP BY ALL
ORDER BY times DESC, word
LIMIT 50
