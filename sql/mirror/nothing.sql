-- Purpose: fragment: a mirror of nothing but its key has nothing to change in a row that is there.
NOTHING
