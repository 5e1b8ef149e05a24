-- Purpose: fragment: whether an enabled rule of this relation rewrites a DELETE (the parameter is 4) or an UPDATE (2). Such a
--   statement could not say what it did.
EXISTS (SELECT FROM pg_catalog.pg_rewrite w
         WHERE w.ev_class OPERATOR(pg_catalog.=) "{relation}"
           AND w.ev_type OPERATOR(pg_catalog.=) $"{event}"::pg_catalog.text::pg_catalog."char"
           AND w.ev_enabled OPERATOR(pg_catalog.=) ANY (ARRAY['O', 'A']::pg_catalog."char"[]))
