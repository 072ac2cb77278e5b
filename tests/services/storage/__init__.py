"""
Tests of ``siptwist.services.storage``.
"""
