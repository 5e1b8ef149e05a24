-- Purpose: retires a leaf whose rows nobody needs any more.
-- Locks: ACCESS EXCLUSIVE on the leaf, held already. Repeat: yes.
TRUNCATE TABLE ONLY "{log}"
