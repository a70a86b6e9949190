"""What every room uses and nothing about materials: errors, files, processes, ledgers, where a result came from."""
