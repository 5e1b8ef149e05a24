-- Purpose: fragment: a child that refers to something.
child."{column}" IS NOT NULL
