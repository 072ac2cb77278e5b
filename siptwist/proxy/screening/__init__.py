"""
Who may talk to us, and which requests go no further.
"""
