"""
Every contract between the rooms of the house.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IMessageReceiver(Interface):
    """
    Takes what arrives on a SIP socket.
    """

    def message_received(data, source, side):
        """
        Handle one datagram or framed message.  Never raises.

        :param bytes data: the bytes as received.
        :param Hop source: the address they came from.
        :param Side side: which of our sockets they arrived on.
        """


class IMessageSender(Interface):
    """
    Sends SIP messages from the socket facing a side.
    """

    def send(data, hop, side):
        """
        Send ``data`` to ``hop`` from our socket on ``side``.

        :param bytes data: one whole SIP message.
        :param Hop hop: an address, already resolved.
        :param Side side: which of our sockets sends it.
        """


class IUndeliverable(Interface):
    """
    Is told what the network could not deliver (RFC 3261 section 18.4).
    """

    def undeliverable(data, hop):
        """
        Somebody says that ``hop`` cannot be reached: the system, or an ICMP error,
        which anyone may have sent.  Believe no more of it than ``data`` proves.
        Never raises, and does nothing to transactions before it returns.

        :param bytes data: what was sent, or the beginning of it.
        :param Hop hop: where it should have gone.
        """


class IMediaBackend(Interface):
    """
    Carries RTP between the two parties of a call.

    Every method takes the :class:`~siptwist.media.stream.CallKey` of the pass.
    """

    def describe(key, party, streams, signaling_host, offer, branch="", receivers=()):
        """
        A party described its streams: an offer or an answer (RFC 3264).

        Ports facing both sides are reserved for each stream that has none
        yet, and the ports of streams set to port 0 are given back.  The offer
        of a call that has no answer yet takes effect at once (early media); a
        later offer takes effect when it is answered.  Until it is settled
        :meth:`reject` takes it back (RFC 3261 section 14.1).  Both parties may
        have an offer open at once (glare).

        :param CallKey key: the pass; opened when it is new and ``offer`` is true.
        :param Party party: who described.
        :param tuple streams: one :class:`~siptwist.media.stream.StreamOffer` for
            each m= line, in order.
        :param str signaling_host: the address the party's signaling comes from;
            RTP is learned only from it or from the described address.
        :param bool offer: whether this is an offer or an answer.
        :param str branch: the To tag (and our branch) that tells forked
            callees apart; empty for the caller.
        :param tuple receivers: the hosts that the description goes to, as far as
            they are known.
        :returns: a tuple of :class:`~siptwist.media.stream.Endpoint`, one for
            each stream: what the *other* party shall be told instead.  A
            ``Deferred`` of it when the backend needs time.
        :raises NoFreePorts: nothing was reserved, nothing is changed.
        """

    def confirm(key, branch):
        """
        A final answer chose ``branch``: only that callee is heard from now on.
        What was answered so far is settled.
        """

    def settle(key):
        """
        What was answered last is final.
        """

    def reject(key, party):
        """
        The offer of ``party`` was refused; streams are as they were before it,
        also when a provisional answer had put it into effect.
        """

    def close(key, reason):
        """
        The call is over.  Sockets are closed and ports rest.  Closing a call
        that is not known does nothing.

        :param str reason: for the log: ``"BYE"``, ``"486"``, ``"CANCEL"``, ``"silence"``.
        """

    def move(side):
        """
        Our addresses on ``side`` are others now: sockets that face it follow, with the
        ports that they have, and what was learned of the parties stays.

        :param Side side: a side of the proxy.
        """

    def calls():
        """
        :returns: an iterable of :class:`~siptwist.media.calls.MediaCall`, for
            people to look at.
        """


class IResolver(Interface):
    """
    Finds the servers of a SIP domain (RFC 3263).
    """

    def resolve(host, port, transport):
        """
        :param str host: a name or an address (IPv6 without brackets).
        :param port: the port of the URI, or ``None`` when it names none.
        :param transport: ``"UDP"``, ``"TCP"``, ``"TLS"`` or ``None`` for any.
        :returns: a non-empty ``list`` of :class:`~siptwist.sip.hop.Hop`, best
            first, when the answer is known (literal, cache); otherwise a
            ``Deferred`` of it, which fails with :class:`~siptwist.errors.Unresolvable`.
        """

    def mark_dead(hop):
        """
        ``hop`` did not answer: prefer others for a while.
        """

    def is_dead(hop):
        """
        :returns: whether ``hop`` was marked dead a short while ago.
        """

    def mark_alive(hop):
        """
        ``hop`` answered: forget that it was dead.
        """


class IRegistrationStore(Interface):
    """
    Keeps registrations across a restart, a crash and a power cut.
    """

    def load():
        """
        :returns: a list of :class:`~siptwist.proxy.registration.location.Binding`.
        """

    def save(changed, removed):
        """
        Write in the commit of this reactor turn.

        :param changed: bindings to insert or replace, by their ``mask``.
        :param removed: masks of bindings to delete.
        :returns: a ``Deferred`` that fires with ``None`` after the commit, and
            fails when the disk does.
        """


class IConsole(Interface):
    """
    What an operator can look at and do from the manhole.
    """

    calls = Attribute("``calls()``: a readable table of calls and their media.")
    registrations = Attribute("``registrations()``: a readable table of bindings.")
    stats = Attribute("``stats()``: how many phones, calls and streams there are.")
    config = Attribute("``config()``: the options in force, secrets masked.")
    drop = Attribute("``drop(call_id)``: end a call; says what it did.")
    log = Attribute("``log(level, category)``: change what is logged, at run time.")
