-- Purpose: fragment: one column of the place that a walk by rows has come to, as the type of its column.
$"{number}"::pg_catalog.text::"{type}"
