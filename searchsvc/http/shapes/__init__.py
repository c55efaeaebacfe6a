"""What the API receives and sends, one module a topic. Searches and events have their shapes where they are used."""
