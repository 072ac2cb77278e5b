"""
Tests, by room of the house; run them with ``python -m twisted.trial tests``.
"""
