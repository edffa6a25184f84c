-- Which files of cards are not what the card's own hash list says, or did not come?
SELECT verdict, source_path, reason, batch_id, media_id, compared_utc
FROM card_hashes
WHERE verdict <> 'verified'
ORDER BY compared_utc DESC, source_path
