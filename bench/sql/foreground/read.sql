-- Purpose: what a page of an application reads: all children of one parent. Index: builds_project.
SELECT b.id, b.status, b.payload FROM public.builds b WHERE b.project_id = $1::bigint
