"""What do searches read? The immutable serving state, and what follows the log into it."""
