"""From a source of materials to memory-mapped features."""
