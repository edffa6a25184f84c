-- What can be heard in each clip: loudness, peaks, silence, speech, music, and what is wrong with its channels.
-- Columns from: audio, proxies
SELECT a.*, p.loudness_lufs, p.loudness_range_lu, p.true_peak_dbtp, p.channel_peak_dbfs, p.channel_rms_dbfs, p.channel_dc
FROM facts.audio a
LEFT JOIN facts.proxies p ON p.media_id = a.media_id
