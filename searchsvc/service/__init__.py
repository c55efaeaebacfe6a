"""What can the API ask for? The use cases behind HTTP."""
