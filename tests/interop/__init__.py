"""
Calls between real programs in network namespaces (``make interop``).
"""
