"""
A whole proxy in memory, and the programs that talk to it.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable
from ipaddress import IPv4Interface
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist import config
from siptwist.composition import compose
from siptwist.net.addresses import Chosen, Interface
from siptwist.plugins.loading import configure
from siptwist.proxy.registration.location import Binding
from siptwist.services.serving.context import Context
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Message, Request, Response, parse
from tests.fakes import FakeMedia, FakeResolver, FakeStore
from tests.net.fakes_udp import MemoryUDPReactor

NOW = 1_790_000_000.0
_numbers = itertools.count(1)


def sdp(host: str, port: int = 4000, more: str = "") -> str:
    """
    A session description of one audio stream, as phones write it.
    """
    lines = (
        "v=0",
        f"o=- 5365 2353 IN IP4 {host}",
        "s=-",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=x-unknown:kept",
    )
    return "\r\n".join(lines) + "\r\n" + more


def fields(*pairs: tuple[str, str]) -> Headers:
    return Headers([make_header(name, value) for name, value in pairs])


class Proxy:
    """
    All services of one proxy on a reactor of memory.

    :param text: lines of siproxd.conf.
    :param media: a stand-in for the relay; ``None`` is our own relay.
    """

    def __init__(
        self,
        inside: str = "10.0.0.1/24",
        outside: str = "203.0.113.1/24",
        text: str = "",
        media: FakeMedia | None = None,
    ) -> None:
        self.reactor = MemoryUDPReactor()
        self.reactor.advance(NOW)
        text = "rtp_port_low = 7070\nrtp_port_high = 7089\n" + text
        settings = config.parse(text, configure=configure)
        near, far = (
            Interface(name, IPv4Interface(address))
            for name, address in (("lan", inside), ("wan", outside))
        )
        service, self.parts = compose(settings, Chosen(near, far, ()), self.reactor)
        self.hosts = {Side.INSIDE: str(near.address), Side.OUTSIDE: str(far.address)}
        self.port = settings.sip_listen_port
        self.store, self.resolver = FakeStore(), FakeResolver()
        self.signaling, self.core = self.parts.signaling, self.parts.core
        self.forwarding = self.signaling.forwarding
        self.locations = self.signaling._locations
        self.dialogs = self.parts.negotiation.dialogs
        self.signaling._store = self.store
        self.forwarding.resolver = self.resolver
        self.forwarding._mediation._locating.resolver = self.resolver
        self.parts.ending._speaking.resolver = self.resolver
        self.media = media
        if media is not None:
            self.forwarding._mediation._media = self.parts.ending.media = media
        self.services = [one for one in service if one is not self.parts.registrations]
        for one in self.services:
            one.privilegedStartService()
            one.startService()

    def stop(self) -> None:
        for one in self.services:
            one.stopService()

    def socket(self, side: Side) -> Any:
        """
        Our SIP socket that faces a side.
        """
        ports = self.reactor.ports
        address = (self.hosts[side], self.port)
        return ports[address] if address in ports else ports["0.0.0.0", self.port]

    @property
    def rtp_ports(self) -> list[int]:
        """
        The media ports that are bound.
        """
        return sorted(port for _, port in self.reactor.ports if port != self.port)

    def wait(self, seconds: float, step: float = 0.1) -> None:
        """
        Let time pass.
        """
        self.reactor.pump([step] * round(seconds / step))

    def contexts(self, call_id: str) -> list[Context]:
        """
        What is still remembered of a call's requests.
        """
        gc.collect()
        return [
            one
            for one in gc.get_objects()
            if type(one) is Context and one.forward.ticket.call_id == call_id
        ]


class Agent:
    """
    A phone, a provider or a stranger: a program at one address that talks to
    the proxy's socket on ``side``.
    """

    def __init__(
        self,
        proxy: Proxy,
        host: str,
        user: str = "alice",
        port: int = 5060,
        side: Side = Side.INSIDE,
        domain: str = "provider.example",
    ) -> None:
        self.proxy = proxy
        self.host = host
        self.port = port
        self.user = user
        self.domain = domain
        self.socket = proxy.socket(side)
        self.call_id = f"{user}-{next(_numbers)}@{host}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@{self.address}>"

    @property
    def aor(self) -> str:
        return f"sip:{self.user}@{self.domain}"

    # What it says

    def deliver(self, data: bytes) -> None:
        self.socket.deliver(data, (self.host, self.port))

    def send(
        self,
        method: str,
        uri: str,
        *,
        to: str = "",
        tag: str = "from-tag",
        to_tag: str = "",
        call_id: str = "",
        cseq: int = 1,
        branch: str = "",
        contact: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: str = "",
        type: str = "application/sdp",
        hops: str = "70",
        vias: Iterable[str] = (),
    ) -> Request:
        """
        Send a request; its ``branch`` is new unless one is given.
        """
        branch = branch or f"z9hG4bK-{next(_numbers)}"
        remote = to or f"<{uri}>"
        pairs = [
            ("Via", f"SIP/2.0/UDP {self.address};branch={branch};rport"),
            *(("Via", via) for via in vias),
            ("Max-Forwards", hops),
            ("From", f'"{self.user}" <{self.aor}>;tag={tag}'),
            ("To", f"{remote};tag={to_tag}" if to_tag else remote),
            ("Call-ID", call_id or self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *headers,
        ]
        if contact is None and method in ("INVITE", "UPDATE", "SUBSCRIBE", "REFER", "REGISTER"):
            contact = self.contact
        if contact:
            pairs.append(("Contact", contact))
        if body:
            pairs.append(("Content-Type", type))
        pairs.append(("Content-Length", str(len(body.encode()))))
        request = Request(method, uri, fields(*pairs), body.encode())
        self.deliver(bytes(request))
        return request

    def again(self, request: Request) -> None:
        """
        Send a request once more, as one does that hears no answer.
        """
        self.deliver(bytes(request))

    def invite(self, uri: str, media: int = 4000, **more: Any) -> Request:
        more.setdefault("body", sdp(self.host, media) if media else "")
        return self.send("INVITE", uri, **more)

    def register(self, expires: int | None = 3600, uri: str = "", **more: Any) -> Request:
        headers = [] if expires is None else [("Expires", str(expires))]
        headers += more.pop("headers", ())
        more.setdefault("to", f"<{self.aor}>")
        return self.send("REGISTER", uri or f"sip:{self.domain}", headers=headers, **more)

    def cancel(self, invite: Request) -> None:
        """
        Give an INVITE up.
        """
        kept = [h for h in invite.headers if h[0] in ("via", "max-forwards", "from", "to")]
        number = (invite.headers.get("cseq") or "").split()[0]
        made = fields(
            ("Call-ID", invite.headers.get("call-id") or ""),
            ("CSeq", f"{number} CANCEL"),
            ("Content-Length", "0"),
        )
        self.deliver(bytes(Request("CANCEL", invite.uri, Headers([*kept, *made]))))

    def acknowledge(self, invite: Request, response: Response) -> None:
        """
        The ACK for a refusal (RFC 3261 section 17.1.1.3).
        """
        kept = [h for h in invite.headers if h[0] in ("via", "max-forwards", "from", "call-id")]
        number = (invite.headers.get("cseq") or "").split()[0]
        made = fields(
            ("To", response.headers.get("to") or ""),
            ("CSeq", f"{number} ACK"),
            ("Content-Length", "0"),
        )
        self.deliver(bytes(Request("ACK", invite.uri, Headers([*kept, *made]))))

    def reply(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "to-tag",
        contact: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: str = "",
        type: str = "application/sdp",
        reason: str = "Whatever",
    ) -> Response:
        """
        Answer a request as it was received.
        """
        kept = []
        for header in request.headers:
            if header[0] in ("via", "record-route", "from", "call-id", "cseq"):
                kept.append(header)
            elif header[0] == "to":
                has_tag = "tag=" in header[1] or status == 100
                kept.append(header if has_tag else make_header("To", f"{header[1]};tag={tag}"))
        pairs = list(headers)
        if contact is None and request.method != "REGISTER" and 100 < status < 300:
            contact = self.contact
        if contact:
            pairs.append(("Contact", contact))
        if body:
            pairs.append(("Content-Type", type))
        pairs.append(("Content-Length", str(len(body.encode()))))
        response = Response(status, reason, Headers([*kept, *fields(*pairs)]), body.encode())
        self.deliver(bytes(response))
        return response

    def vanish(self) -> None:
        """
        Nobody is here any more: what was sent here last comes back as an ICMP error.
        """
        data = self.datagrams[-1][:520]
        self.socket.protocol.undeliverable(data, (self.host, self.port))
        self.proxy.wait(0.2)

    # What it heard

    @property
    def datagrams(self) -> list[bytes]:
        return [data for data, to in self.socket.sent if to == (self.host, self.port)]

    @property
    def heard(self) -> list[Message]:
        return [parse(data) for data in self.datagrams]

    def requests(self, method: str) -> list[Request]:
        return [m for m in self.heard if isinstance(m, Request) and m.method == method]

    def responses(self, method: str) -> list[Response]:
        """
        The responses to requests of a method, 100 left out.
        """
        return [
            m
            for m in self.heard
            if isinstance(m, Response)
            and m.status > 100
            and (m.headers.get("cseq") or "").endswith(f" {method}")
        ]

    def statuses(self, method: str) -> list[int]:
        return [response.status for response in self.responses(method)]

    def last(self, method: str) -> Request:
        found = self.requests(method)
        assert found, f"{self.address} heard no {method}: {self.heard}"
        return found[-1]

    def answer(self, method: str) -> Response:
        found = self.responses(method)
        assert found, f"{self.address} heard no answer to {method}: {self.heard}"
        return found[-1]


class Leg:
    """
    One end of a dialog, as user agents keep it (RFC 3261 section 12).
    """

    def __init__(self, agent: Agent, first: Request, other: Message, tag: str = "to-tag") -> None:
        self.agent = agent
        self.call_id = first.headers.get("call-id") or ""
        caller = isinstance(other, Response)
        routes = other.headers.values("record-route")
        self.routes = routes[::-1] if caller else routes
        contact = other.headers.values("contact")[0]
        self.target = NameAddr.parse(contact, "Contact").uri_text
        ends = [NameAddr.parse(other.headers.get(name) or "", name) for name in ("from", "to")]
        near, far = ends if caller else ends[::-1]
        self.tag = near.tag or tag
        self.remote_uri, self.remote_tag = far.uri_text, far.tag or ""
        self.cseq = 1 if caller else 100

    def send(self, method: str, **more: Any) -> Request:
        """
        A request inside the dialog.
        """
        if method not in ("ACK", "CANCEL"):
            self.cseq += 1
        headers = [("Route", route) for route in self.routes] + list(more.pop("headers", ()))
        return self.agent.send(
            method,
            self.target,
            to=f"<{self.remote_uri}>",
            tag=self.tag,
            to_tag=self.remote_tag,
            call_id=self.call_id,
            cseq=more.pop("cseq", self.cseq),
            headers=headers,
            **more,
        )


class WalkingCase(SynchronousTestCase):
    """
    A proxy between 10.0.0.0/24 and the world, a phone and its provider.
    """

    text = ""
    fakes_media = False

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.media = FakeMedia()
        self.proxy = self.make_proxy()
        self.addCleanup(self.proxy.stop)
        self.phone = Agent(self.proxy, "10.0.0.10", "alice")
        self.other = Agent(self.proxy, "10.0.0.11", "bob")
        self.provider = Agent(self.proxy, "203.0.113.20", "server", side=Side.OUTSIDE)
        self.proxy.resolver.names["provider.example"] = [Hop("203.0.113.20", 5060)]

    def make_proxy(self) -> Proxy:
        return Proxy(text=self.text, media=self.media if self.fakes_media else None)

    def failures(self) -> list[Any]:
        """
        What was logged as an error of ours.
        """
        return [event for event in self.events if event.get("log_failure") is not None]

    def registered(self, phone: Agent, expires: int = 3600) -> str:
        """
        Register a phone at its provider; return the URI by which it is known.
        """
        phone.register(expires)
        passed = self.provider.last("REGISTER")
        contact = passed.headers.get("contact") or ""
        self.provider.reply(passed, 200, contact=f"{contact};expires={expires}")
        return NameAddr.parse(contact, "Contact").uri_text

    def binding(self, phone: Agent) -> Binding:
        (found,) = self.proxy.locations.lookup(phone.aor, self.proxy.reactor.seconds())
        return found

    def call_out(self, **more: Any) -> tuple[Leg, Leg]:
        """
        The phone calls out and is answered; both ends of the dialog.
        """
        sent = self.phone.invite("sip:carol@provider.example", **more)
        came = self.provider.last("INVITE")
        self.provider.reply(came, 180)
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        return caller, Leg(self.provider, came, came)

    def call_in(self, **more: Any) -> tuple[Leg, Leg]:
        """
        The phone is called at its mask and answers; both ends, caller first.
        """
        uri = self.registered(self.phone)
        more.setdefault("to", f"<{self.phone.aor}>")
        sent = self.provider.invite(uri, **more)
        came = self.phone.last("INVITE")
        self.phone.reply(came, 180)
        self.phone.reply(came, 200, body=sdp("10.0.0.10", 4000))
        caller = Leg(self.provider, sent, self.provider.answer("INVITE"))
        caller.send("ACK")
        return caller, Leg(self.phone, came, came)

    def assert_clean(self, *call_ids: str) -> None:
        """
        Nothing of these calls is left, nothing went wrong.
        """
        self.proxy.wait(70)
        self.assertEqual(len(self.proxy.parts.transactions), 0)
        self.assertEqual(len(self.proxy.dialogs), 0)
        self.assertEqual(self.proxy.rtp_ports, [])
        self.assertEqual(list(self.proxy.parts.relaying.calls()), [])
        for call_id in call_ids:
            self.assertEqual(self.proxy.contexts(call_id), [])
        self.assertEqual(self.failures(), [])
