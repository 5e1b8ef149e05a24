-- Purpose: data of a stage is written out by its end; nobody waits for each commit.
SET synchronous_commit = off
