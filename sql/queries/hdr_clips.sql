-- Which clips are HDR, and of which kind?
SELECT name, hdr, pixel_format, bit_depth, video_codec, camera_model, round(duration_s, 1) AS seconds, media_id
FROM media
WHERE hdr <> 'sdr'
ORDER BY hdr, name
