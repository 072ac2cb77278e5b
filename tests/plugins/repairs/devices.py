"""
Messages of the devices and providers that the plugins are for.

No capture of a fault itself was found in public: of DTAG's Via and of the FRITZ!Box's
Contact only siproxd's ChangeLog tells (12-Sep-2015; 30-Jan-2016 and 24-Feb-2016).  So
these are captures of the same senders, by the sources named at each, header by header in
their order, with the fault put in, and addresses, numbers and marks of our own.
"""

from __future__ import annotations

#: The mark that a FRITZ!Box gives the Contact of an account: 29 hexadecimal digits in the
#: Request-URI of Deutsche Telekom's INVITE to one, in a script on GitHub that replays it.
UNIQ = "E04784589605A88765A939C2CA2A7"

#: Of that INVITE, what Telekom's border controller writes of itself.
DTAG_BRANCH = "z9hG4bKg3Zqkv7i1tg6jule4zo2e7ndqkj1zfut6"
DTAG_TAG = "h7g4Esbg_p65557t1573829978m943109c168405915s1_3637842016-655695229"
DTAG_ALLOW = (
    "REGISTER, REFER, NOTIFY, SUBSCRIBE, INFO, PRACK, UPDATE, INVITE, ACK, OPTIONS, CANCEL, BYE"
)

#: A response of such a controller, with a Via of its own in the place of ours.
DTAG_RESPONSE = f"""\
SIP/2.0 {{status}} {{reason}}
Via: SIP/2.0/UDP {{via}}
To: <sip:carol@provider.example>;tag={DTAG_TAG}
From: {{from_}}
Call-ID: {{call_id}}
CSeq: {{cseq}}
Contact: <sip:sgc_c@203.0.113.21;transport=udp>
Allow: {DTAG_ALLOW}
Content-Length: 0

"""

#: A call of a FRITZ!Box to an IP telephone: issue 85 of haumacher/phoneblock, "Fritz!Box
#: Fehler 408 im Ereignislog bei ankommendem Anruf".  Its Via asks for no rport.
BOX_CALL = """\
INVITE {uri} SIP/2.0
Via: SIP/2.0/UDP {via};branch=z9hG4bK4207DC1195070DC1
From: <sip:040123456@fritz.box>;tag=BF13224E986A3495
To: <{uri}>
Call-ID: 5694A3F5A5BEB07F@192.168.178.1
CSeq: 14 INVITE
Contact: <sip:DA3969CE6BA0D35B305A0CB2F611960@192.168.178.1>
Max-Forwards: 70
P-Called-Party-ID: <sip:040123457@fritz.box>
Expires: 120
Session-Expires: 600;refresher=uac
Min-SE: 90
User-Agent: AVM FRITZ!Box 7590 154.07.57 (Sep  2 2023)
Supported: 100rel,replaces,timer
Allow-Events: telephone-event,refer
Allow: INVITE,ACK,OPTIONS,CANCEL,BYE,UPDATE,PRACK,INFO,SUBSCRIBE,NOTIFY,REFER,MESSAGE,PUBLISH
Content-Type: application/sdp
Accept: application/sdp, multipart/mixed
Accept-Encoding: identity
Content-Length: {length}

"""

#: An anonymous call out in the manner of the last; what it adds is RFC 3323 and RFC 3325,
#: and the Contact is what siproxd's plugin looks for.
BOX_ANONYMOUS_CALL = """\
INVITE sip:carol@provider.example SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK33D8F2A1F0C26A1E
From: <sip:anonymous@anonymous.invalid>;tag=4C1C1D0B5C8A9E36
To: <sip:carol@provider.example>
Call-ID: 5A8C0E3C5C2D91A6@10.0.0.10
CSeq: 4 INVITE
Contact: {contact}
Max-Forwards: 70
Expires: 120
Privacy: id
P-Preferred-Identity: <sip:alice@provider.example>
Session-Expires: 600;refresher=uac
Min-SE: 90
User-Agent: AVM FRITZ!Box 7590 154.07.57 (Sep  2 2023)
Supported: 100rel,replaces,timer
Allow-Events: telephone-event,refer
Allow: INVITE,ACK,OPTIONS,CANCEL,BYE,UPDATE,PRACK,INFO,SUBSCRIBE,NOTIFY,REFER,MESSAGE,PUBLISH
Content-Type: application/sdp
Accept: application/sdp, multipart/mixed
Accept-Encoding: identity
Content-Length: {length}

"""

#: An anonymous call in, of a border controller like Telekom's: the capture of a puzzle in
#: the Christmas contest of the Norwegian PST, published in a write-up on GitHub.
ANONYMOUS_CALL = """\
INVITE {uri} SIP/2.0
Max-Forwards: 59
Via: SIP/2.0/UDP 203.0.113.20:5060;branch=z9hG4bKg3Zqkv7iqzibm3wfn8td5orxo7vyxe5q9
To: <tel:21000001;phone-context=+47>
From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=h7g4Estg_p63344t1976798986m456675
Call-ID: p65599t1576767456m455575f2658294147s2
CSeq: 1 INVITE
Contact: <sip:sgc_c@203.0.113.20;transport=udp>;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service"
Record-Route: <sip:203.0.113.20;transport=udp;lr>
Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"
Min-Se: 900
Resource-Priority: q735.4
Session-Expires: 1800
Supported: timer
Supported: 100rel
Supported: precondition
Supported: histinfo
Content-Type: application/sdp
Content-Length: {length}
Session-ID: 5b8e6d5f89b8ea975b77e0a6bbf782a8
Allow: REGISTER, REFER, NOTIFY, SUBSCRIBE, PRACK, UPDATE, INVITE, ACK, OPTIONS, CANCEL, BYE

"""

#: What a FRITZ!Box adds to a response: the 200 of one to a REGISTER in issue 12 of
#: arnonym/ha-plugins, "Pick up".
BOX_HEADERS = (
    ("User-Agent", "AVM FRITZ!Box 7590 154.07.29 TAL (Oct 26 2021)"),
    ("Supported", "100rel,replaces,timer"),
    ("Allow-Events", "telephone-event,refer,reg"),
    ("Accept", "application/sdp, multipart/mixed"),
    ("Accept-Encoding", "identity"),
)
