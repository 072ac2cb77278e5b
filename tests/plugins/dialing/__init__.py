"""
Tests of the plugins that say who is meant by a number.
"""
