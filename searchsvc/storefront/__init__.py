"""A small page to try the service by hand: search, see explanations, click, set a weight."""
