"""
``twistd siproxy``.
"""

from twisted.application.service import ServiceMaker

siproxy = ServiceMaker("siptwist", "siptwist.tap", "A masquerading SIP proxy", "siproxy")
