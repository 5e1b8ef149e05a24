-- Purpose: fragment: the child's column is not yet NULL.
child."{column}" IS NOT NULL
