-- Purpose: waits out every writer with an uncommitted row in the leaf, so that nothing can appear after the check.
-- Locks: ACCESS EXCLUSIVE on the leaf, for a few milliseconds. Repeat: yes.
LOCK TABLE ONLY "{log}" IN ACCESS EXCLUSIVE MODE
