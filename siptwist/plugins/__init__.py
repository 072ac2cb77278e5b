"""
User-visible features, one a module, found as Twisted plugins.
"""
