-- Purpose: nothing of what went before is written while a bench measures, and all begin with the same full-page images.
CHECKPOINT
