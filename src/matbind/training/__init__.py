"""From features to a trained combination."""
