-- Purpose: where changed rows are put first. Repeat: fails.
CREATE TEMPORARY TABLE incoming (id bigint, owner_id bigint, kind integer, name text, description text, price numeric(12, 2), archived boolean, updated_at timestamptz)
