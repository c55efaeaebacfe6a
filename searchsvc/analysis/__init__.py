"""How does text become terms? Documents and queries are analysed alike;

Queries are understood with the words of the index.
"""
