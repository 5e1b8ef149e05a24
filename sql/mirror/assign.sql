-- Purpose: fragment: a column takes the new value.
"{column}" = excluded."{column}"
