-- Purpose: fragment: the name of a key column in an unnested key list.
k"{number}"
