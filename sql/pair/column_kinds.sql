-- Purpose: fragment: how columns compare: their kind, and for text whether the collation takes different strings for equal, and
--   which. Two ends of a definition agree in this, or a key would mean another row at the other end. Columns of what is no
--   table are unknown. Inside a statement that reads or changes the relation it is true for just that statement, which has
--   the relation locked; and whatever the search path is there.
ARRAY(SELECT CASE WHEN a.atttypid OPERATOR(pg_catalog.=) ANY (ARRAY[20, 21, 23]::pg_catalog.oid[]) THEN 'int8'
                  WHEN a.atttypid OPERATOR(pg_catalog.=) 2950::pg_catalog.oid THEN 'uuid'
                  WHEN a.atttypid OPERATOR(pg_catalog.=) ANY (ARRAY[25, 1043]::pg_catalog.oid[]) THEN
                    CASE WHEN coalesce(l.collisdeterministic, true) THEN 'text'
                         ELSE pg_catalog.format('text %s %s', l.collprovider,
                                coalesce(pg_catalog.to_jsonb(l) OPERATOR(pg_catalog.->>) 'colllocale',
                                         pg_catalog.to_jsonb(l) OPERATOR(pg_catalog.->>) 'colliculocale',
                                         l.collcollate::pg_catalog.text)) END
                  ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END
        FROM pg_catalog.unnest("{columns}") WITH ORDINALITY AS u(name, n)
        LEFT JOIN pg_catalog.pg_class c
          ON c.oid OPERATOR(pg_catalog.=) "{relation}"
         AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])
        LEFT JOIN pg_catalog.pg_attribute a
          ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) u.name
         AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
        LEFT JOIN pg_catalog.pg_collation l ON l.oid OPERATOR(pg_catalog.=) a.attcollation
       ORDER BY u.n)
