-- Purpose: fragment: a name in a list.
"{name}"
