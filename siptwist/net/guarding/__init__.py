"""
What watching plugins ask and keep: a STUN server, and a SQLite file.
"""
