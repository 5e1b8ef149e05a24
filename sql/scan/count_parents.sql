-- Purpose: how many parents there are, counted up to a limit. $1 the limit.
-- Locks: ACCESS SHARE. Index: any. Repeat: only reads.
SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM "{parent}" AS parent LIMIT $1) AS found
