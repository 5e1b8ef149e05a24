-- Purpose: how many parents there are in a share of the pages of their tables. $1 the share in percent.
-- Locks: ACCESS SHARE. Index: none, reads that share of the pages. Repeat: only reads; other pages each time.
SELECT pg_catalog.count(*) AS rows FROM "{parent}" AS parent TABLESAMPLE SYSTEM ($1::pg_catalog.float8::pg_catalog.float4)
