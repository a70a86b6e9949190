"""The search for better settings than those it starts with."""
