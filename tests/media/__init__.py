"""
Tests of ``siptwist.media``.
"""
