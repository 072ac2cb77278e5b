"""
Tests of ``siptwist.proxy``.
"""
