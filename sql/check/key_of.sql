-- Purpose: fragment: a column of a key by its name in the rows at hand.
"{row}"."{name}"
