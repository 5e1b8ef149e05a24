-- Purpose: the rest of the transaction may not write: a plan changes nothing, whatever a function in a catalog view does.
-- Locks: none. Repeat: says the same again.
SET TRANSACTION READ ONLY
