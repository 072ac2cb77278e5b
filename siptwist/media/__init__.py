"""
Book-keeping of RTP: ports, streams, calls, latching.  Pure.
"""
