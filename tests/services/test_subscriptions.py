"""
Subscriptions through the whole proxy (RFC 6665): message waiting (RFC 3842), busy
lamps (RFC 4235), presence (RFC 3856).
"""

from __future__ import annotations

from typing import Any

from siptwist.sip.message import Request
from tests.services.walking import Agent, Leg, WalkingCase

US_INSIDE, US_OUTSIDE = "<sip:10.0.0.1;lr>", "<sip:203.0.113.1;lr>"
EVENTS = ("message-summary", "dialog", "presence")
BODY = "Messages-Waiting: yes\r\nVoice-Message: 2/8\r\n"


class SubscriptionCase(WalkingCase):
    def notify(self, leg: Leg, state: str = "active;expires=600", **more: Any) -> Request:
        headers = [("Event", more.pop("event", "dialog")), ("Subscription-State", state)]
        more.setdefault("contact", leg.agent.contact)
        return leg.send(
            "NOTIFY",
            headers=headers,
            body=BODY,
            type="application/simple-message-summary",
            **more,
        )

    def subscribe(self, subscriber: Agent, uri: str, event: str = "dialog", **more: Any) -> Request:
        headers = [("Event", event), ("Expires", "600")]
        return subscriber.send("SUBSCRIBE", uri, headers=headers, **more)

    def subscribed(self, event: str = "dialog") -> tuple[Leg, Leg]:
        """
        The phone subscribes at its provider; both ends.
        """
        sent = self.subscribe(self.phone, "sip:bob@provider.example", event)
        came = self.provider.last("SUBSCRIBE")
        self.provider.reply(came, 200, headers=[("Expires", "600")])
        return Leg(self.phone, sent, self.phone.answer("SUBSCRIBE")), Leg(self.provider, came, came)

    def assert_notified(self, notifier: Leg, subscriber: Agent, **more: Any) -> Request:
        """
        A NOTIFY arrives with its body, and its 200 returns.
        """
        count = len(notifier.agent.statuses("NOTIFY"))
        self.notify(notifier, **more)
        came = subscriber.last("NOTIFY")
        self.assertEqual(came.body.decode(), BODY)
        subscriber.reply(came, 200)
        self.assertEqual(notifier.agent.statuses("NOTIFY")[count:], [200])
        return came


class PhoneSubscribesTests(SubscriptionCase):
    """
    A phone subscribes at its provider.
    """

    def test_contact_and_routes(self) -> None:
        """
        The provider sees a masked Contact and our outside Record-Route, the phone
        gets the inside one, for each kind of event.
        """
        for event in EVENTS:
            subscriber, _ = self.subscribed(event)
            came = self.provider.last("SUBSCRIBE")
            self.assertEqual(came.headers.get("event"), event)
            self.assertIn("@203.0.113.1;line=", came.headers.get("contact") or "")
            self.assertEqual(came.headers.values("record-route"), [US_OUTSIDE])
            self.assertEqual(subscriber.routes, [US_INSIDE])

    def test_notified(self) -> None:
        """
        Each NOTIFY of the subscription reaches the phone, registered or not.
        """
        for is_registered in (False, True):
            if is_registered:
                self.registered(self.phone)
            _, notifier = self.subscribed()
            came = self.assert_notified(notifier, self.phone)
            self.assertEqual(came.uri, "sip:alice@10.0.0.10:5060")
            self.assertEqual(came.headers.values("record-route"), [US_INSIDE])
            self.assertEqual(came.headers.get("contact"), self.provider.contact)

    def test_notified_before_the_answer(self) -> None:
        """
        A NOTIFY that is faster than the answer to SUBSCRIBE arrives as well.
        """
        self.subscribe(self.phone, "sip:bob@provider.example")
        came = self.provider.last("SUBSCRIBE")
        self.assert_notified(Leg(self.provider, came, came), self.phone)

    def test_subscribed_again(self) -> None:
        """
        The subscription is renewed in its dialog, under the same masked Contact.
        """
        subscriber, notifier = self.subscribed()
        first = self.provider.last("SUBSCRIBE")
        subscriber.send("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", "600")])
        second = self.provider.last("SUBSCRIBE")
        self.assertEqual(second.uri, "sip:server@203.0.113.20:5060")
        self.assertEqual(first.headers.get("contact"), second.headers.get("contact"))
        self.provider.reply(second, 200)
        self.assertEqual(self.phone.statuses("SUBSCRIBE"), [200, 200])
        self.assert_notified(notifier, self.phone)

    def test_terminated(self) -> None:
        """
        The last NOTIFY arrives, and nothing of the subscription is left.
        """
        subscriber, notifier = self.subscribed()
        subscriber.send("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", "0")])
        self.provider.reply(self.provider.last("SUBSCRIBE"), 200)
        came = self.assert_notified(notifier, self.phone, state="terminated;reason=timeout")
        self.assertEqual(came.headers.get("subscription-state"), "terminated;reason=timeout")
        self.assert_clean(self.phone.call_id)

    def test_registration_has_lapsed(self) -> None:
        """
        NOTIFYs go on when the registration of the phone has ended meanwhile.
        """
        self.registered(self.phone, expires=60)
        _, notifier = self.subscribed()
        self.proxy.reactor.advance(4000)
        now = self.proxy.reactor.seconds()
        for binding in self.proxy.locations.expire(now):
            self.proxy.core.retire(binding, now)
        self.assert_notified(notifier, self.phone)

    def test_phone_has_moved(self) -> None:
        """
        NOTIFYs follow a phone that came back from another port.
        """
        self.registered(self.phone)
        _, notifier = self.subscribed()
        self.phone.port = 5072
        self.phone.register(cseq=2, call_id=self.phone.call_id)
        passed = self.provider.last("REGISTER")
        self.provider.reply(passed, 200, contact=passed.headers.get("contact"))
        self.assertEqual(self.assert_notified(notifier, self.phone).uri, "sip:alice@10.0.0.10:5072")


class UnsolicitedTests(SubscriptionCase):
    """
    A provider that tells of messages without being asked.
    """

    def unsolicited(self, uri: str, to: str = "") -> None:
        self.provider.send(
            "NOTIFY",
            uri,
            to=to,
            headers=[("Event", "message-summary"), ("Subscription-State", "active")],
            body=BODY,
            type="application/simple-message-summary",
            contact=self.provider.contact,
        )

    def test_to_the_phone(self) -> None:
        """
        It reaches the phone at its masked Contact and at its account with our address.
        """
        mask = self.registered(self.phone)
        for count, uri in enumerate((mask, "sip:alice@203.0.113.1"), 1):
            self.unsolicited(uri, f"<{self.phone.aor}>")
            came = self.phone.last("NOTIFY")
            self.assertEqual((came.uri, came.body.decode()), ("sip:alice@10.0.0.10:5060", BODY))
            self.phone.reply(came, 200)
            self.assertEqual(self.provider.statuses("NOTIFY"), [200] * count)
        self.assert_clean(self.provider.call_id)

    def test_nobody(self) -> None:
        """
        For a phone that never registered, the provider hears so.
        """
        self.unsolicited("sip:zoe@203.0.113.1")
        self.assertEqual(self.provider.statuses("NOTIFY"), [404])


class PhoneIsSubscribedTests(SubscriptionCase):
    """
    Somebody outside subscribes to what a phone does.
    """

    def test_phone_notifies(self) -> None:
        """
        The answer's and the NOTIFYs' Contact is the mask; the subscriber renews and ends it.
        """
        uri = self.registered(self.phone)
        sent = self.subscribe(self.provider, uri)
        came = self.phone.last("SUBSCRIBE")
        self.assertEqual(came.headers.values("record-route"), [US_INSIDE])
        self.phone.reply(came, 200)
        subscriber = Leg(self.provider, sent, self.provider.answer("SUBSCRIBE"))
        self.assertEqual((subscriber.target, subscriber.routes), (uri, [US_OUTSIDE]))
        notifier = Leg(self.phone, came, came)
        told = self.assert_notified(notifier, self.provider)
        self.assertEqual(told.headers.get("contact"), f"<{uri}>")
        self.assertEqual(told.headers.values("record-route"), [US_OUTSIDE])
        for expires in ("600", "0"):
            subscriber.send("SUBSCRIBE", headers=[("Event", "dialog"), ("Expires", expires)])
            self.phone.reply(self.phone.last("SUBSCRIBE"), 200)
        self.assertEqual(self.provider.statuses("SUBSCRIBE"), [200, 200, 200])
        self.assert_notified(notifier, self.provider, state="terminated")
        self.assert_clean(self.provider.call_id)
