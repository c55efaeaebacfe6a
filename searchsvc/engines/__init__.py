"""How are documents found? The protocol, what both engines share, and the two engines."""
