-- Purpose: fragment: a name.
"{name}"
