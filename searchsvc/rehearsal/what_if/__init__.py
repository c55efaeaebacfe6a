"""What a draft would do to the searches that shoppers made, before it is published.

logged_searches     the newest rankings of BEHAVIOR with their interactions, and the most frequent searches of them
repeated_pages      each search repeated without and with the draft
summary             how much of the first pages stays, which documents win and lose, how clicks would change
what_ifs            one what-if at a time, in the background
"""
