-- Purpose: makes the tables of children: $1 tables, parents 1 to $2.
CALL public.create_children($1::bigint, $2::bigint)
