-- Purpose: fragment, only where parent and child share a database: no parent has the child's key. With the children
--   locked by an earlier statement, this statement's own snapshot sees every parent that could have come back with them.
NOT EXISTS (SELECT FROM "{parent}" AS parent WHERE "{match}")
