-- Purpose: fragment: whether the leaf has an enabled BEFORE ROW trigger on DELETE or UPDATE, which may return NULL and so
--   make the statement skip rows silently. Read in the transaction that does the work, under its lock on the leaf.
EXISTS (SELECT FROM pg_catalog.pg_trigger t
         WHERE t.tgrelid OPERATOR(pg_catalog.=) '{leaf_name}'::pg_catalog.regclass
           AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' AND t.tgenabled OPERATOR(pg_catalog.<>) 'R'
           AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 3) OPERATOR(pg_catalog.=) 3
           AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 24) OPERATOR(pg_catalog.<>) 0)
