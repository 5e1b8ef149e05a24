-- Purpose: keeps bitmaps from the rest of a transaction that reads children under a limit.
-- Why these: a bitmap is made of all rows of a key before the first of them is read, and a limit on the rows saves nothing then.
-- Locks: none. Repeat: sets it again.
SELECT pg_catalog.set_config('enable_bitmapscan', 'off', true)
