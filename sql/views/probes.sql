-- What each media file is, read from its streams: container, codecs, size, rate, colour, time, camera, sound.
-- Columns from: probes
SELECT * FROM facts.probes
