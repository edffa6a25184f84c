-- Where a clip's picture is black, frozen, or has nothing in it that moves, and where it flashes.
-- Columns from: picture_ranges
SELECT * FROM facts.picture_ranges
