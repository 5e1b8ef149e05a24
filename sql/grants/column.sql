-- Purpose: fragment: a column in a list.
"{column}"
