-- Purpose: fragment: a column of one side.
"{alias}"."{column}"
