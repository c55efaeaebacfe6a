"""How does a document become searchable? Checks of documents, inferred settings, indexers and rebuilds."""
