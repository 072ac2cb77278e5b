"""
Tests of ``siptwist.net.rtp``.
"""
