-- Every file that a card's own hash list (ASC MHL, .mhl) names, and whether it is what the list says.
-- A file that was missing and came later is shown by its later row alone.
-- Columns from: card_hashes
SELECT *
FROM facts.card_hashes c
WHERE verdict <> 'missing' OR NOT EXISTS (FROM facts.locations l WHERE l.source_path = c.source_path)
