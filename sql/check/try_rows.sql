-- Purpose: whether the server can read the values of a mirror as they will be read; the error says why not.
-- Locks: ACCESS SHARE. Index: none. Repeat: only reads.
SELECT "{values}" FROM "{table}" AS "{alias}" WHERE "{filter}" LIMIT 0
