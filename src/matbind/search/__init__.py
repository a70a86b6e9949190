"""From a query in a file to ranked materials."""
