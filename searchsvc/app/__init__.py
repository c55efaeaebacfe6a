"""How is a process put together? Wiring, start and stop, health, upkeep."""
