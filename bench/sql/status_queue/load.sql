-- Purpose: the next $1 parents of the queue. Index: queue_pending. Repeat: only reads.
SELECT q.id, q.parent_key FROM public.queue q
 WHERE q.table_name = 'public.projects' AND q.part = 1 AND q.status = 1
 ORDER BY q.part, q.due_at, q.id LIMIT $1::bigint
