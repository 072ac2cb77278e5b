"""
Commands that look at files and start nothing.
"""
