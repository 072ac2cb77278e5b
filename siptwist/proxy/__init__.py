"""
What this proxy does with a message.  Pure.
"""
