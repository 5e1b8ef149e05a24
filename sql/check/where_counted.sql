-- Purpose: fragment: a value of a row that passes the filter. Of another one it may not even be possible to compute it.
CASE WHEN "{filter}" THEN "{value}" END
