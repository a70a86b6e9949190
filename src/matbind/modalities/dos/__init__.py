"""Electronic densities of states."""
