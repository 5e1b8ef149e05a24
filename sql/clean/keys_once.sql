-- Purpose: fragment: the keys as an array that is made once for the statement. Where no index takes them, a plan for any keys would make
--   the array anew for every row.
(SELECT "{keys}")::pg_catalog."{type}"[]
