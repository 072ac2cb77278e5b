"""
Answers ICE checks on the sockets of RTP and RTCP.
"""

from __future__ import annotations

from collections.abc import Callable

from siptwist.media.ice import Agent
from siptwist.media.latch import Address
from siptwist.media.leg import Leg
from siptwist.media.rtp import RTCP_HEADER
from siptwist.net.rtp.relay import Relay
from siptwist.sip.stun import is_stun

Judge = Callable[[bytes, Address], bool]


def judge_rtp(relay: Relay, leg: Leg) -> Judge:
    """
    What judges the packets on an RTP port: the party's checks, if it is to be
    checked, are answered and not relayed, and it is heard from where it chose.
    """
    return leg.judge_rtp if leg.ice is None else _judge(relay, leg, leg.ice, False, leg.judge_rtp)


def judge_rtcp(relay: Relay, leg: Leg) -> Judge:
    """
    The same on an RTCP port.
    """
    return leg.judge_rtcp if leg.ice is None else _judge(relay, leg, leg.ice, True, leg.judge_rtcp)


def _judge(relay: Relay, leg: Leg, agent: Agent, is_rtcp: bool, otherwise: Judge) -> Judge:
    def judge(data: bytes, source: Address) -> bool:
        if is_stun(data):
            answer = agent.answer(data, source, is_rtcp)
            if answer:
                leg.choose()
                _send(relay, answer, source)
            return False
        if source == (agent.rtcp if is_rtcp else agent.rtp):
            return len(data) >= RTCP_HEADER
        return otherwise(data, source)

    return judge


def _send(relay: Relay, answer: bytes, source: Address) -> None:
    try:
        relay.port.write(answer, source)
    except OSError:
        return  # It asks again.
