"""
A request being served: sent on, with its media, and answered.
"""
