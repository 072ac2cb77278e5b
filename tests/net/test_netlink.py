"""
Tests of ``siptwist.net.netlink``.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.net import netlink
from siptwist.net.netlink import AddressWatch, is_change, messages, watch

NEW_LINK, NEW_ADDRESS, NEW_ROUTE, NEW_NEIGHBOR = 16, 20, 24, 28
# struct rtmsg: family, length of the destination, and more.
DEFAULT_ROUTE, SOME_ROUTE = b"\x02\x00" + bytes(10), b"\x02\x18" + bytes(10)


def message(kind: int, content: bytes) -> bytes:
    data = struct.pack("=IHHII", 16 + len(content), kind, 0, 0, 0) + content
    return data + bytes(-len(data) % 4)


@implementer(IReactorFDSet)
class Reactor(Clock):
    """
    Remembers who wants to read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        raise RuntimeError("nothing here writes")

    def removeWriter(self, writer: Any) -> None:
        raise RuntimeError("nothing here writes")

    def removeAll(self) -> list[Any]:
        left, self.readers = self.readers, []
        return left

    def getReaders(self) -> list[Any]:
        return self.readers

    def getWriters(self) -> list[Any]:
        return []


class Socket:
    """
    Has datagrams and errors to read, each with its sender.
    """

    def __init__(self, *waiting: tuple[bytes, int] | OSError) -> None:
        self.waiting = list(waiting)
        self.is_closed = False

    def fileno(self) -> int:
        return 7

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        found = self.waiting.pop(0)
        if isinstance(found, OSError):
            raise found
        return found[0], (found[1], 0)

    def close(self) -> None:
        self.is_closed = True


class MessageTests(SynchronousTestCase):
    def test_several(self) -> None:
        """
        One datagram may tell of several things.
        """
        data = message(NEW_NEIGHBOR, b"abc") + message(NEW_ADDRESS, b"d")
        self.assertEqual(list(messages(data)), [(NEW_NEIGHBOR, b"abc"), (NEW_ADDRESS, b"d")])
        self.assertTrue(is_change(data))

    def test_what_counts(self) -> None:
        """
        Links, addresses and default routes count; other routes and neighbors do not.
        """
        self.assertTrue(is_change(message(NEW_LINK, b"")))
        self.assertTrue(is_change(message(NEW_ROUTE, DEFAULT_ROUTE)))
        self.assertFalse(is_change(message(NEW_ROUTE, SOME_ROUTE)))
        self.assertFalse(is_change(message(NEW_ROUTE, b"")))
        self.assertFalse(is_change(message(NEW_NEIGHBOR, b"")))

    def test_cut_off(self) -> None:
        """
        What is cut off, or says that it is longer or shorter than it can be, is passed over.
        """
        whole = message(NEW_ADDRESS, b"abcd")
        for data in (whole[:-1], whole[:15], b"", struct.pack("=IHHII", 3, 20, 0, 0, 0)):
            self.assertEqual(list(messages(data)), [])

    def test_mutations(self) -> None:
        """
        No datagram breaks the reading of it, or keeps it from ending.
        """
        chance = random.Random(5)
        whole = message(NEW_NEIGHBOR, b"abcdef") + message(NEW_ROUTE, SOME_ROUTE)
        for _ in range(5000):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            cut = bytes(data[: chance.randint(0, len(data))])
            self.assertIn(is_change(cut), (True, False))
            self.assertLessEqual(len(list(messages(cut))), len(cut) // 16)


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor, self.told = Reactor(), 0

    def change(self) -> None:
        self.told += 1

    def read(self, *waiting: tuple[bytes, int] | OSError) -> int:
        opened: Any = Socket(*waiting)
        watched = AddressWatch(self.reactor, opened, self.change)
        verifyObject(IReadDescriptor, watched)
        watched.doRead()
        return self.told

    def test_told_once(self) -> None:
        """
        Many changes that wait are one.
        """
        self.assertEqual(self.read(*[(message(NEW_ADDRESS, b""), 0)] * 3), 1)

    def test_of_others(self) -> None:
        """
        What does not come from the kernel does not count.
        """
        self.assertEqual(self.read((message(NEW_ADDRESS, b""), 1234)), 0)

    def test_too_much(self) -> None:
        """
        When the kernel had to drop what it wanted to tell, something has changed.
        """
        self.assertEqual(self.read(OSError(errno.ENOBUFS, "too much")), 1)

    def test_stops(self) -> None:
        """
        A watch that ends, or whose socket breaks, is read no more and closed.
        """
        opened: Any = Socket()
        watched = AddressWatch(self.reactor, opened, self.change)
        watched.connectionLost(Failure(OSError(errno.EBADF, "broken")))
        self.assertEqual(self.reactor.readers, [])
        self.assertTrue(opened.is_closed)

    def test_elsewhere(self) -> None:
        """
        Where there is no netlink, or the reactor reads no files, or the system refuses,
        there is no watch.
        """
        self.assertIsNone(watch(Clock(), self.change))

        def refuse(*words: object) -> socket.socket:
            raise PermissionError(errno.EPERM, "not allowed")

        self.patch(netlink.socket, "socket", refuse)
        self.patch(netlink.socket, "AF_NETLINK", 16)
        self.assertIsNone(watch(self.reactor, self.change))
        del netlink.socket.AF_NETLINK
        self.assertIsNone(watch(self.reactor, self.change))
