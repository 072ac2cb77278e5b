"""
Tests of ``siptwist.net``.
"""
