"""
Registrations on disk.
"""
