"""
Learn where a party's RTP comes from, and let nobody else in.

A party behind NAT sends from an address that its SDP does not name, and hears
only what is sent back there.  Whoever believes every packet hands the call to
a stranger (CVE-2017-14099, CVE-2025-53399).  So a source is learned only when
its host is the one that the SDP names or that the signaling comes from, and
the first four packets in order settle it until there is new SDP.  After that a
NAT router that gives the party another port is followed only when the same
sender visibly goes on there: SSRC, numbers and timestamps.
"""

from __future__ import annotations

from typing import NamedTuple

from siptwist.media.quality import Reception
from siptwist.media.rtp import is_dtls, is_rtp, rises, sequence, ssrc, timestamp

#: Host and port, as sockets report them.
Address = tuple[str, int]

#: Packets in order from one source that settle it (RFC 3550 appendix A.1 asks for 2).
SETTLED = 4
#: As many from the source that the SDP before this one led to: a party that
#: moves is still heard from its old port for a moment.
SETTLED_AGAIN = 50
#: How far a sender may have gone on when it is heard from another port: in
#: packets (RFC 3550 appendix A.1), and in units of its timestamp (90 s of video).
MAX_GAP, MAX_LEAP = 3000, 1 << 23


class Described(NamedTuple):
    """
    What one SDP says about where a party receives and sends.

    ``rtp`` is ``None`` for a host that cannot be sent to; ``mute`` says that
    the party asked for nothing to be sent at all (``c=`` of 0.0.0.0), ``is_dtls``
    that RTP waits for a handshake (RFC 5764).
    """

    rtp: Address | None
    rtcp: Address | None
    signaling_host: str
    is_rtp: bool = True
    mute: bool = False
    is_dtls: bool = False


class Latch:
    """
    The address of one party (one branch of it) for one stream.

    ``source`` is where its packets are accepted from without another look,
    ``None`` until that is settled.  ``destination`` is where RTP is sent to.
    """

    __slots__ = (
        "_former",
        "_heard_packets",
        "_last",
        "_proven",
        "_run",
        "_runner",
        "_ssrc",
        "_stamp",
        "described",
        "heard",
        "source",
    )

    def __init__(self, described: Described) -> None:
        self.described = described
        self.heard = described.rtp
        self.source: Address | None = None
        self._former: Address | None = None
        self._proven = False
        self._runner: Address | None = None
        self._run = self._last = self._stamp = self._heard_packets = 0
        self._ssrc = 0

    def copy(self) -> Latch:
        """
        A latch that has learned the same.
        """
        twin = Latch(self.described)
        twin.heard, twin.source, twin._former = self.heard, self.source, self._former
        twin._proven, twin._runner, twin._run = self._proven, self._runner, self._run
        twin._last, twin._stamp = self._last, self._stamp
        twin._heard_packets, twin._ssrc = self._heard_packets, self._ssrc
        return twin

    def describe(self, described: Described) -> None:
        """
        New SDP: learning opens again.

        The same address as before keeps what was learned until another source
        proves itself; another address is believed at once.
        """
        before = self.described
        if described.mute and described.rtp is None:
            # RFC 2543 hold hides the address; the party may play music from it.
            described = described._replace(rtp=before.rtp, rtcp=before.rtcp)
        self.described = described
        if described.rtp in (None, before.rtp) and self._expects(self.heard):
            self._proven = self._proven or self.source is not None
            self._former = None
        else:
            self._proven, self._former, self.heard = False, self.heard, described.rtp
        self.source = None
        self._forget_run()

    @property
    def destination(self) -> Address | None:
        """
        Where RTP is sent; ``None`` while nobody knows.
        """
        return None if self.described.mute else self.heard

    @property
    def rtcp_destination(self) -> Address | None:
        """
        Where RTCP is sent: as described, or beside RTP when that was learned.
        """
        heard = self.heard
        if heard is None or self.described.mute:
            return None
        if heard == self.described.rtp:
            return self.described.rtcp
        return heard[0], min(heard[1] + 1, 65535)

    def is_at(self, source: Address) -> bool:
        """
        Whether ``source`` is where this party was described or heard.
        """
        return source == self.heard or (self.source is None and source == self.described.rtp)

    def accept(self, data: bytes, source: Address) -> bool:
        """
        Judge one packet on the RTP port, and learn from it while that is open.
        """
        if self.source is not None:
            return source == self.source
        if not self._expects(source):
            return False
        if self.described.is_rtp and not is_rtp(data):
            # STUN, DTLS and multiplexed RTCP pass from a known source; they prove nothing.
            if self.described.is_dtls and is_dtls(data):
                self._greet(source)
            return self.is_at(source)
        self._count(data, source)
        return True

    def follow(self, data: bytes, source: Address, before: Reception, packets: int) -> bool:
        """
        Whether the settled party has moved to another port of its host: the
        same sender goes on there, and says nothing more on the old one.

        :param before: what was received from it so far.
        :param int packets: how many were.
        """
        at = self.source
        if at is None or source[0] != at[0] or not self.described.is_rtp or not is_rtp(data):
            return False
        if ssrc(data) != before.source:
            return False
        if source != self._runner or packets != self._heard_packets:
            self._runner, self._heard_packets, self._run = source, packets, 0
            self._last, self._stamp = before.number, before.stamp
        number, stamp = sequence(data), timestamp(data)
        gap, leap = (number - self._last) & 0xFFFF, (stamp - self._stamp) & 0xFFFFFFFF
        if not (0 < gap <= MAX_GAP and leap <= MAX_LEAP):
            return False
        self._last, self._stamp = number, stamp
        self._run += 1
        if self._run < SETTLED:
            return False
        self.heard = self.source = source
        self._forget_run()
        return True

    def accept_rtcp(self, source: Address) -> bool:
        """
        Judge one packet on the RTCP port.  Nothing is learned from it.
        """
        if source == self.described.rtcp:
            return True
        return self.heard is not None and source[0] == self.heard[0]

    def _expects(self, source: Address | None) -> bool:
        if source is None:
            return False
        named = self.described.rtp
        return source[0] == self.described.signaling_host or (
            named is not None and source[0] == named[0]
        )

    def _forget_run(self) -> None:
        self._runner = None
        self._run = self._last = 0
        self._ssrc = 0

    def _greet(self, source: Address) -> None:
        """
        A handshake goes back where it comes from; RTP settles that later.
        """
        outrun = self._runner is not None and self._runner == self.described.rtp
        if self._run == 0 and not (outrun or self._proven or source == self._former):
            self._runner = self.heard = source

    def _count(self, data: bytes, source: Address) -> None:
        named = self.described.rtp
        if source != self._runner:
            if self._runner is not None and self._runner == named:
                return  # Nobody outruns the address of the SDP itself.
            self._forget_run()
            self._runner = source
        self._extend_run(data)
        former = source == self._former and source != named
        if not former and not self._proven:
            self.heard = source
        if self._run >= (SETTLED_AGAIN if former else SETTLED):
            self.heard = self.source = source

    def _extend_run(self, data: bytes) -> None:
        if not self.described.is_rtp:
            self._run += 1
            return
        number, sender = sequence(data), ssrc(data)
        if self._run and sender == self._ssrc:
            if not rises(self._last, number):
                return
            self._run += 1
        else:
            self._run, self._ssrc = 1, sender
        self._last = number
