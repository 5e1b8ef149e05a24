-- Purpose: takes what was read from the source.
COPY pg_temp.incoming FROM STDIN (FORMAT binary)
