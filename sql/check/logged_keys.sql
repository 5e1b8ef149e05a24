-- Purpose: fragment: which of the keys asked for stand in rows of the log, for keys of one column.
SELECT DISTINCT k FROM "{rows}" AS l, unnest(l.keys) k WHERE k = ANY ($4::text[]::"{encoded}"[])
