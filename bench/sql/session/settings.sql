-- Purpose: whether the server is as durable as one in production; a figure of another one would say nothing.
SELECT pg_catalog.current_setting('fsync') = 'on' AND pg_catalog.current_setting('synchronous_commit') = 'on'
   AND pg_catalog.current_setting('full_page_writes') = 'on'
