"""One index learning while it runs: puts clicks, learners and the gate together."""
