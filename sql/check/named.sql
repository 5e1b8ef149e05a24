-- Purpose: fragment: a value under a name.
"{value}" AS "{name}"
