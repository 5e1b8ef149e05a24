-- Purpose: fragment: what becomes of a row that is there already.
UPDATE SET "{assignments}" WHERE pg_catalog.record_image_ne(ROW("{old}"), ROW("{new}"))
