-- Purpose: from now on the server writes every statement that it is sent into its log, so that they can be counted.
ALTER SYSTEM SET log_statement = 'all'
