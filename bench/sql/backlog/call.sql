-- Purpose: writes one row of the key log for each doomed parent.
CALL public.log_singly()
