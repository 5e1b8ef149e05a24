-- Purpose: fragment: a text sorted as its column is.
"{value}" COLLATE "{collation}"
