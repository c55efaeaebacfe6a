"""TODO package"""
