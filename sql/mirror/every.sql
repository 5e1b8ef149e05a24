-- Purpose: fragment: no bound.
true
