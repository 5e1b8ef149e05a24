-- Purpose: takes back what log_statements.sql has set.
ALTER SYSTEM RESET log_statement
