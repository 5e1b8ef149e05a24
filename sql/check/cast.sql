-- Purpose: fragment: a value as the type that both sides are compared as.
("{value}")::"{type}"
