-- Purpose: fragment: a column in a list.
-- Locks: none. Repeat: yes.
"{column}"
