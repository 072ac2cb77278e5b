"""
Tests of ``siptwist.sip``.
"""
