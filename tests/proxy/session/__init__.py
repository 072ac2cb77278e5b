"""
Tests of ``siptwist.proxy.session``.
"""
