"""
Tests of ``siptwist.proxy.screening``.
"""
