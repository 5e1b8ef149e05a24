-- Purpose: children of doomed parents, and count and digest of all others.
SELECT doomed, kept, keys FROM public.count_children()
