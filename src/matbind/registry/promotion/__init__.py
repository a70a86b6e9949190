"""Which version of a registered model is at which stage."""
