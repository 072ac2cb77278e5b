"""
Tests of the process around the proxy.
"""
