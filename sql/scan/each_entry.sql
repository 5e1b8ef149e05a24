-- Purpose: fragment: every entry, one that repeats the key before it too.
ALL
