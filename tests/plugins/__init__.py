"""
Tests of ``siptwist.plugins``.
"""
