"""
Tests of ``siptwist.proxy.registration.passthrough``.
"""
