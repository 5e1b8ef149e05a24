-- Purpose: settings that were changed hold from now on.
SELECT pg_catalog.pg_reload_conf()
