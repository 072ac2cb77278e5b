"""
Tests of ``siptwist.services.extending``.
"""
