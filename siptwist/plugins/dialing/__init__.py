"""
Plugins that say who is meant by a number.
"""
