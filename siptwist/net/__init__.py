"""
Sockets and names: everything that touches the network.
"""
