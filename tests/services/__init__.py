"""
Tests of ``siptwist.services``.
"""
