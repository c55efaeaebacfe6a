"""What do both engines keep in arrays? Columns, words, term statistics and vectors."""
