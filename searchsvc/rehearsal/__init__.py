"""What would a change do, and why was a past answer what it was? Searches that are not shown to users."""
