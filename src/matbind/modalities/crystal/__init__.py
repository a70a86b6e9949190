"""Crystal structures."""
