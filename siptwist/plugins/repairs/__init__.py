"""
Plugins that change what others send.
"""
