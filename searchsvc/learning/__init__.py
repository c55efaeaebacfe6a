"""What do indexes learn from shoppers, and how does it reach the ranking?"""
