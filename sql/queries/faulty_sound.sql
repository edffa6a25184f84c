-- Whose sound is clipped, lacks a channel, or has its phase inverted?
SELECT m.name, array_to_string(a.faults, ', ') AS faults, round(a.true_peak_dbtp, 1) AS true_peak_dbtp, m.media_id
FROM audio a JOIN media m USING (media_id)
WHERE len(a.faults) > 0
ORDER BY m.name
