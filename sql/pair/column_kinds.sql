-- Purpose: fragment: how columns compare: their kind, and for text whether the collation takes different strings for equal, and
--   which. Two ends of a definition agree in this, or a key would mean another row at the other end.
ARRAY(SELECT CASE WHEN a.atttypid IN (20, 21, 23) THEN 'int8'
                  WHEN a.atttypid = 2950 THEN 'uuid'
                  WHEN a.atttypid IN (25, 1043) THEN
                    'text' || CASE WHEN coalesce(l.collisdeterministic, true) THEN ''
                                   ELSE format(' %s %s', l.collprovider,
                                               coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale',
                                                        l.collcollate)) END
                  ELSE format_type(a.atttypid, a.atttypmod) END
        FROM unnest("{columns}") WITH ORDINALITY AS u(name, n)
        LEFT JOIN pg_attribute a ON a.attrelid = "{relation}" AND a.attname = u.name AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
       ORDER BY u.n)
