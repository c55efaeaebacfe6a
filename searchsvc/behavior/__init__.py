"""How does a click become part of the log, and what is folded from it?"""
