"""Where materials come from."""
