-- Purpose: fragment: a text read back as the type of its column.
lfk_row."{name}"::"{type}"
