"""
The words of SIP: grammar, messages, headers, SDP, digest, transactions.  Pure.
"""
