"""How does a document become searchable? Documents, inferred settings, indexers and rebuilds."""
