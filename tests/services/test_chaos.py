"""
Calls in disorder: lost, doubled and reordered messages, and whoever gives up.
"""

from __future__ import annotations

import random

from siptwist.sip.message import Message, Request, Response
from tests.services.walking import Agent, Leg, Proxy, WalkingCase, sdp

CALLS = 40


class DisorderTests(WalkingCase):
    """
    A world in which datagrams get lost, come twice, or late.
    """

    def make_proxy(self) -> Proxy:
        return Proxy(text="rtp_port_low = 7070\nrtp_port_high = 7999\nrtp_timeout = 60\n")

    def setUp(self) -> None:
        super().setUp()
        self.chance = random.Random(3261)
        self.uris = [self.registered(phone) for phone in (self.phone, self.other)]
        self.seen = {agent: len(agent.datagrams) for agent in self.agents}
        self.late: list[tuple[Agent, bytes]] = []

    @property
    def agents(self) -> tuple[Agent, ...]:
        return (self.phone, self.other, self.provider)

    def disturb(self, agent: Agent) -> None:
        """
        From now on what an agent sends suffers.
        """
        deliver = agent.deliver

        def disturbed(data: bytes) -> None:
            fate = self.chance.random()
            if fate < 0.15:
                return
            if fate < 0.25:
                self.late.append((agent, data))
                return
            deliver(data)
            if fate > 0.9:
                deliver(data)

        agent.deliver = disturbed  # type: ignore[method-assign]

    def react(self, agent: Agent, message: Message) -> None:
        """
        What a user agent might do about a message.
        """
        if isinstance(message, Response):
            if message.status < 200 or "INVITE" not in (message.headers.get("cseq") or ""):
                return
            if message.status < 300:
                caller = Leg(agent, self.sent[message.headers.get("call-id") or ""], message)
                caller.send("ACK")
                if self.chance.random() < 0.5:
                    caller.send("BYE")
            else:
                agent.acknowledge(self.sent[message.headers.get("call-id") or ""], message)
        elif message.method == "INVITE":
            body = sdp(agent.host, 4000) if self.chance.random() < 0.9 else "nonsense"
            for status in self.chance.choice(((180,), (180, 200), (200,), (183, 486), (603,), ())):
                agent.reply(message, status, body=body if status in (183, 200) else "")
            if self.chance.random() < 0.2:
                callee = Leg(agent, message, message)
                callee.send("BYE")
        elif message.method == "CANCEL":
            agent.reply(message, 200)
            if self.chance.random() < 0.8:
                invite = message._replace(
                    method="INVITE",
                    headers=message.headers.replaced(
                        {"cseq": [("cseq", "1 INVITE", "CSeq: 1 INVITE")]}
                    ),
                )
                agent.reply(invite, 487)
        elif message.method != "ACK":
            agent.reply(message, self.chance.choice((200, 200, 481)))

    def turn(self) -> None:
        """
        Everybody reacts to what has come; late datagrams arrive.
        """
        for agent in self.agents:
            heard = agent.heard
            begin, self.seen[agent] = self.seen[agent], len(heard)
            for message in heard[begin:]:
                self.react(agent, message)
        self.chance.shuffle(self.late)
        for agent, data in self.late[: len(self.late) // 2 + 1]:
            Agent.deliver(agent, data)
        del self.late[: len(self.late) // 2 + 1]
        self.proxy.wait(0.2)

    def test_nothing_is_left(self) -> None:
        """
        After many disturbed calls nothing is left: no transaction, call, port or failure.
        """
        for agent in self.agents:
            self.disturb(agent)
        self.sent: dict[str, Request] = {}
        for number in range(CALLS):
            call_id = f"disorder-{number}"
            caller, uri = self.chance.choice(
                (
                    (self.phone, "sip:carol@provider.example"),
                    (self.other, "sip:carol@provider.example"),
                    (self.provider, self.uris[0]),
                    (self.provider, self.uris[1]),
                )
            )
            self.sent[call_id] = caller.invite(
                uri, call_id=call_id, media=4000 if self.chance.random() < 0.8 else 0
            )
            self.turn()
            if self.chance.random() < 0.3:
                caller.cancel(self.sent[call_id])
            self.turn()
        for _ in range(150):
            self.turn()
        self.proxy.wait(400, step=1.0)
        self.assert_clean(*list(self.sent)[:3])
        answered = sum(len(agent.responses("INVITE")) for agent in self.agents)
        self.assertGreater(answered, CALLS // 2)
