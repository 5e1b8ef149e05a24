-- Purpose: fragment: a column of the key that the recursion has come to.
k."{column}"
