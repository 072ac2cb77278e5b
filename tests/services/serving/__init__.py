"""
Tests of ``siptwist.services.serving``.
"""
