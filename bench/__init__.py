"""
What ``make bench`` measures.
"""
