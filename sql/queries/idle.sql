-- Where does nothing happen: black, frozen or nothing that moves, and silent where there is sound?
SELECT m.name, p.kind, round(p.start_s, 2) AS start_s, round(p.end_s, 2) AS end_s,
    round(p.end_s - p.start_s, 2) AS seconds, m.media_id
FROM picture_ranges p JOIN media m USING (media_id)
WHERE p.kind <> 'flash' AND (
    NOT coalesce(m.has_audio, false) OR EXISTS (
        FROM audio_ranges s WHERE s.media_id = p.media_id AND s.kind = 'silence'
            AND s.start_s <= p.start_s + 0.5 AND s.end_s >= p.end_s - 0.5
    )
)
ORDER BY seconds DESC, m.name, p.start_s
