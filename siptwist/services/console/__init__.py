"""
What operators see: tables, the console and its SSH door.
"""
