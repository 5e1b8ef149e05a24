-- Purpose: fragment: a column of a relation by its alias.
"{alias}"."{column}"
