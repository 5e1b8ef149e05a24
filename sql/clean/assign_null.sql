-- Purpose: fragment: nulls a child's column.
"{column}" = NULL
