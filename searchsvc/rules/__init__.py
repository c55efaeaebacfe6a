"""Which rules fire for a search, and what do they ask for?"""
