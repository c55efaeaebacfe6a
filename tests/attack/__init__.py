"""A service under random attacks, with clients that remember what they were told, and a check that it is true."""
