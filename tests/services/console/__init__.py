"""
Tests of ``siptwist.services.console.console``.
"""
