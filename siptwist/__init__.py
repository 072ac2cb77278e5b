"""
A masquerading SIP proxy, registrar and RTP relay on Twisted.
"""

__version__ = "0.1.0"
