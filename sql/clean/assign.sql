-- Purpose: fragment: gives a child's column its value.
"{column}" = '{value}'
