-- Purpose: fragment: every key once.
DISTINCT
