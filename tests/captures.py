"""
Messages as common phones and providers write them, to be sent whole and damaged.
"""

from __future__ import annotations

import re


def _wire(text: str, body: str = "") -> bytes:
    length = len(body.replace("\n", "\r\n").encode())
    head = f"{text.strip()}\nContent-Length: {length}\n\n"
    return (head + body).replace("\n", "\r\n").encode()


_OFFER = """\
v=0
o=- 3786431 2093812 IN IP4 10.0.0.10
s=-
c=IN IP4 10.0.0.10
t=0 0
m=audio 10222 RTP/AVP 96 8 0 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:10223 IN IP4 10.0.0.10
a=sendrecv
a=ptime:20
"""
_OFFER_WITH_VIDEO = """\
v=0
o=alice 1735 2946 IN IP4 10.0.0.11
s=Talk
c=IN IP4 10.0.0.11
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
m=audio 7078 RTP/AVPF 96 97 98 0 8 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:101 telephone-event/48000
a=rtcp-fb:* ccm tmmbr
m=video 9078 RTP/AVPF 96
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack pli
"""
_ANSWER = """\
v=0
o=FreeSWITCH 1690 1691 IN IP4 203.0.113.20
s=FreeSWITCH
c=IN IP4 203.0.113.20
t=0 0
m=audio 24508 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=ptime:20
"""

# The manner of baresip.
_REGISTER = _wire(
    """
REGISTER sip:provider.example SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK8d9f0f7d2b6f9b0c;rport
Contact: <sip:alice-0x5581@10.0.0.10:5060>;expires=600;+sip.instance="<urn:uuid:b0d1f9a6-5f6a>"
Max-Forwards: 70
Route: <sip:10.0.0.1;lr>
To: <sip:alice@provider.example>
From: <sip:alice@provider.example>;tag=3b2b1d6c7c2f0e55
Call-ID: 5e1c0b1d6f6b4a9e
CSeq: 35813 REGISTER
User-Agent: baresip v1.0.0 (x86_64/Linux)
Authorization: Digest username="alice", realm="provider.example", nonce="Zbx1s2", \
uri="sip:provider.example", response="0123456789abcdef0123456789abcdef", cnonce="9f", \
qop=auth, nc=00000001, algorithm=MD5
Supported: gruu,outbound,path
"""
)
_INVITE = _wire(
    """
INVITE sip:carol@provider.example SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK2b6f9b0c8d9f0f7d;rport
Contact: <sip:alice-0x5581@10.0.0.10:5060>
Max-Forwards: 70
To: <sip:carol@provider.example>
From: <sip:alice@provider.example>;tag=f0e553b2b1d6c7c2
Call-ID: 0b1d6f6b4a9e5e1c
CSeq: 24233 INVITE
User-Agent: baresip v1.0.0 (x86_64/Linux)
Allow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,INFO,UPDATE
Supported: gruu,replaces
Content-Type: application/sdp
""",
    _OFFER,
)
# The manner of linphone.
_CALL = _wire(
    """
INVITE sip:carol@provider.example;user=phone SIP/2.0
Via: SIP/2.0/UDP 10.0.0.11:5060;branch=z9hG4bK.9xWl0sQ1k;rport
From: "Bob \\"B\\" Möller, Büro" <sip:bob@provider.example>;tag=Xs~fJ1UYh
To: sip:carol@provider.example
CSeq: 20 INVITE
Call-ID: AXvP0nD2aF
Max-Forwards: 70
Supported: replaces, outbound, gruu, path
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, PRACK, UPDATE
Content-Type: application/sdp
Contact: <sip:bob@10.0.0.11;transport=udp>;expires=3600;+org.linphone.specs="lime"
User-Agent: Linphone Desktop/5.1.2 (Debian GNU/Linux 12, Qt 5.15.8) LinphoneCore/5.2.100
Session-Expires: 1800;refresher=uac
""",
    _OFFER_WITH_VIDEO,
)
_IN_DIALOG = tuple(
    _wire(
        f"""
{method} sip:carol@203.0.113.20:5080;ob SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK{method.lower()}0c8d9f;rport
Max-Forwards: 70
Route: <sip:10.0.0.1;lr>, <sip:203.0.113.21;lr;ftag=f0e553b2b1d6c7c2>
From: <sip:alice@provider.example>;tag=f0e553b2b1d6c7c2
To: <sip:carol@provider.example>;tag=as58f4201b
Call-ID: 0b1d6f6b4a9e5e1c
CSeq: {number} {method}
{more}
"""
    )
    for method, number, more in (
        ("ACK", 24233, "User-Agent: baresip v1.0.0 (x86_64/Linux)"),
        ("CANCEL", 24233, 'Reason: SIP;cause=200;text="Call completed elsewhere"'),
        ("BYE", 24234, "User-Agent: baresip v1.0.0 (x86_64/Linux)"),
        ("PRACK", 24235, "RAck: 776656 24233 INVITE"),
        ("REFER", 24236, "Refer-To: <sip:dave@provider.example?Replaces=a%3Bto-tag%3Db>"),
        ("SUBSCRIBE", 24237, "Event: dialog;id=7\nExpires: 600"),
        ("NOTIFY", 24238, "Event: refer\nSubscription-State: active;expires=60"),
        ("MESSAGE", 24239, "Content-Type: text/plain"),
    )
)
# The manner of a provider that calls one of our phones.
_CALL_IN = _wire(
    """
INVITE sip:alice@203.0.113.1:5060;line=0123456789abcdef SIP/2.0
Record-Route: <sip:203.0.113.20;lr;ftag=as6e28b1f3;did=5f1.1c2>
Via: SIP/2.0/UDP 203.0.113.20;branch=z9hG4bK7e5c.7f0d2c91000000000000000000000000.0
Via: SIP/2.0/UDP 203.0.113.21:5080;received=203.0.113.21;branch=z9hG4bK1b2c3d4e;rport=5080
Max-Forwards: 69
From: "+49 30 1234567" <sip:+49301234567@provider.example;user=phone>;tag=as6e28b1f3
To: <sip:alice@provider.example>
Contact: <sip:+49301234567@203.0.113.21:5080>
Call-ID: 3f2a1b0c5d4e6f7a@203.0.113.21:5080
CSeq: 102 INVITE
P-Asserted-Identity: <sip:+49301234567@provider.example>
Content-Type: application/sdp
""",
    _ANSWER,
)
CAPTURES = (_INVITE, _CALL, _REGISTER, _CALL_IN, *_IN_DIALOG)

_VIA = "SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK0123456789abcdef;rport=5060"
_ANSWERED = """\
Via: {via}
Record-Route: <sip:203.0.113.20;lr;ftag=f0e553b2b1d6c7c2>,<sip:203.0.113.1;lr>
From: <sip:alice@provider.example>;tag=f0e553b2b1d6c7c2
To: <sip:carol@provider.example>;tag=as58f4201b
Call-ID: 0b1d6f6b4a9e5e1c
CSeq: 24233 INVITE
Contact: <sip:carol@203.0.113.20:5080;ob>;expires=600;q=0.7
Server: FPBX-16.0.33(18.9.0)
"""
ANSWERS = tuple(
    _wire(f"SIP/2.0 {status}\n{_ANSWERED.format(via=_VIA)}{more}", body)
    for status, more, body in (
        ("100 Trying", "", ""),
        (
            "183 Session Progress",
            "Require: 100rel\nRSeq: 1\nContent-Type: application/sdp",
            _ANSWER,
        ),
        ("200 OK", "Content-Type: application/sdp\nSession-Expires: 1800;refresher=uas", _ANSWER),
        ("302 Moved Temporarily", "Diversion: <sip:c@h>;reason=unconditional", ""),
        ("401 Unauthorized", 'WWW-Authenticate: Digest realm="p", nonce="n", qop="auth"', ""),
        ("423 Interval Too Brief", "Min-Expires: 1200", ""),
        ("503 Service Unavailable", "Retry-After: 18000 (sip:carol;x)", ""),
    )
)
_ECHOED = re.compile(
    rb"(?im)^(?:v|via|f|from|i|call-id|cseq|t|to|record-route|contact)[ \t]*:(?:[^\r]|\r\n[ \t])*"
)
_END = re.compile(rb"\r\n(?![ \t])")


def answer_to(request: bytes, number: int) -> bytes:
    """
    One of :data:`ANSWERS` with the fields that make it answer ``request``.
    """
    start, *lines = _END.split(ANSWERS[number % len(ANSWERS)])
    echoed = [match[0] for match in _ECHOED.finditer(request.partition(b"\r\n\r\n")[0])]
    kept = [line for line in lines if not _ECHOED.match(line) or line.startswith(b"Contact")]
    return b"\r\n".join([start, *echoed, *kept])


VALUES = tuple(
    text.encode()
    for text in (
        "sip:alice@provider.example",
        "sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr?Subject=x&To=sip:b%40h",
        "sip:+1-212-555-1212:1234@gateway.example;user=phone",
        "sip:sips%3Auser%40example.com@example.net",
        "sip:user;par=u%40example.net@example.com",
        '"A. G. \\"Bell\\", <x>" <sip:agb@bell.example>;tag=a48s;q=0.5;methods="INVITE,BYE"',
        "Anonymous <sip:c8oqz84zk7z@privacy.example>;tag=hyh8",
        "sip:+12125551212@server.phone2net.example;tag=887s",
        "<tel:+49-30-1234567;phone-context=example.com>;expires=60",
        "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK8d9f0f7d;rport;received=10.0.0.10",
        "SIP / 2.0 / TLS [2001:db8::9:1]:5061 ; branch = z9hG4bK2980unddj ; ttl=16",
        "4711 INVITE",
        "2147483647 OPTIONS",
    )
)
