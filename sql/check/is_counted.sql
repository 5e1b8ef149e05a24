-- Purpose: fragment: whether a row of the source passes the filter.
("{filter}") IS TRUE
