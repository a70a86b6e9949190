"""What a registered model carries: its code, its weights, a gallery to search, and how to answer a query."""
