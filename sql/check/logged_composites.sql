-- Purpose: fragment: which of the keys asked for stand in rows of the log, for keys of several columns: each is put into one
--   text, every column behind its length in characters, which are the same in every encoding.
SELECT DISTINCT x.k FROM "{rows}" AS l, LATERAL (
  SELECT string_agg(char_length(u.part) || ':' || u.part, '' ORDER BY u.ord) AS k
    FROM unnest(l.keys) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / "{width}") x
 WHERE x.k = ANY ($4::text[]::"{encoded}"[])
