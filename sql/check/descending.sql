-- Purpose: fragment: a sort key, the last first.
"{column}" DESC
