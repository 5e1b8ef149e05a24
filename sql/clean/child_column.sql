-- Purpose: fragment: a column of the child.
child."{column}"
