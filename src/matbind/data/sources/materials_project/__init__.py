"""Download from the Materials Project."""
