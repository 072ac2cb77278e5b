"""
Linux tells when a link, an address or the default route changes (rtnetlink(7)).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_IFADDR.
GROUPS = 0x1 | 0x10 | 0x40 | 0x100
# RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR; RTM_NEWROUTE, RTM_DELROUTE.
_ADDRESSES = frozenset((16, 17, 20, 21))
_ROUTES = frozenset((24, 25))
_HEADER = struct.Struct("=IHHII")
_LARGEST = 65536
# So many reads before others have their turn.
_READS = 64


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The type and the content of each message of one datagram; what is cut off is
    passed over.
    """
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def is_change(data: bytes) -> bool:
    """
    Whether a datagram tells of what :mod:`siptwist.net.addresses` looks at.
    """
    for kind, content in messages(data):
        if kind in _ADDRESSES:
            return True
        # struct rtmsg: the family, then the length of the destination's prefix.
        if kind in _ROUTES and len(content) > 1 and content[1] == 0:
            return True
    return False


@implementer(IReadDescriptor)
class AddressWatch:
    """
    Calls ``changed`` when something about our addresses may have changed.
    """

    def __init__(
        self, reactor: IReactorFDSet, opened: socket.socket, changed: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._socket = opened
        self._changed = changed
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "rtnetlink"

    def doRead(self) -> None:
        """
        Read what waits; who was told too much at once has to look, too.
        """
        is_new = False
        for _ in range(_READS):
            try:
                data, (sender, _) = self._socket.recvfrom(_LARGEST)
            except OSError as error:
                is_new = is_new or error.errno == errno.ENOBUFS
                break
            # The kernel is 0.
            is_new = is_new or (sender == 0 and is_change(data))
        if is_new:
            self._changed()

    def connectionLost(self, reason: Failure) -> None:
        self.stop()

    def stop(self) -> None:
        """
        Look no more.
        """
        self._reactor.removeReader(self)
        self._socket.close()


def watch(reactor: Any, changed: Callable[[], object]) -> AddressWatch | None:
    """
    Watch the addresses of this machine; None where that cannot be had.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None or not IReactorFDSet.providedBy(reactor):
        return None
    opened = None
    try:
        opened = socket.socket(family, socket.SOCK_RAW, 0)
        opened.setblocking(False)
        opened.bind((0, GROUPS))
    except OSError:
        if opened is not None:
            opened.close()
        return None
    return AddressWatch(reactor, opened, changed)
