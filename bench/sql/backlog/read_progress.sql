-- Purpose: how many keys were read so far, and when that was stored, by the server's clock.
SELECT c.keys_total, extract(epoch FROM c.advanced_at)::float8 FROM lfk.cursor c WHERE c.consumer = $1
