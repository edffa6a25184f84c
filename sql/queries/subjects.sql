-- What is spoken of, where?
SELECT m.name, round(s.start_s, 1) AS start_s, round(s.end_s, 1) AS end_s, s.title, m.media_id
FROM transcript_sections s JOIN media m USING (media_id)
ORDER BY m.name, s.start_s
