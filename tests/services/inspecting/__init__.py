"""
Tests of ``siptwist.services.inspecting``.
"""
