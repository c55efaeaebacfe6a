"""How is one search answered? Candidates, features, ranking, answer."""
