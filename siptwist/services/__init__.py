"""
Lifetimes, timers and files: Twisted services, joined by :mod:`siptwist.tap`.
"""
