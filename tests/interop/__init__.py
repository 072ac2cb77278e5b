"""
Calls between programs that nobody here wrote, through ``twistd siproxy``.

Run as root with ``SIPTWIST_INTEROP=1``; everything stays in network namespaces.
"""
