-- Purpose: fragment: a text as an assignment to varchar(n) leaves it, which cuts blanks behind the n-th character in silence. What
--   is longer otherwise stays longer, and so shows as a difference: the assignment refuses it.
(pg_catalog.substr("{value}", 1, "{length}") OPERATOR(pg_catalog.||) pg_catalog.rtrim(pg_catalog.substr("{value}", "{length}" + 1), ' '))
