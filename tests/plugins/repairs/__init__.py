"""
Tests of :mod:`siptwist.plugins.repairs`.
"""
