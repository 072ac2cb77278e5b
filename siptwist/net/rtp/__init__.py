"""
Sockets that relay RTP.
"""
