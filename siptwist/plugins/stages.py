"""
The stages at which a plugin can be asked: an interface for each, with one method.

A plugin implements those that it has something to say at, and is asked nothing
else.  Plugins are asked in the order of their ``load_plugin`` lines.  The stages
of a request follow one another as they stand here; a response passes *response*,
*media* and *post_proxy*.

``None`` is always a good answer: nothing to say.  A plugin that raises, or returns
what it may not, is logged and not asked again about that message, which goes on
as if the plugin were not there.  Everything that is handed in is a value: make
another (``_replace``, ``with_request``), change nothing in place.  Nothing may
take long: all calls wait meanwhile.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IRaw(Interface):
    """
    Sees every datagram before anybody reads it, whoever sent it.
    """

    def raw(data, source, side):
        """
        :param bytes data: what arrived: a message, a keep-alive, noise.
        :param Hop source: where it came from.  Anyone can write any address there.
        :param Side side: which of our sockets it arrived on.
        :returns: ``None`` to let it pass, other bytes to be read in its place, or
            ``b""``: it was for the plugin.
        """


class IValidate(Interface):
    """
    May refuse a request that nothing else is wrong with.
    """

    def validate(ticket):
        """
        :param Ticket ticket: a request that passed the access lists and our checks.
        :returns: ``None``, a :class:`~siptwist.proxy.decision.Reply` that refuses it,
            or a :class:`~siptwist.proxy.decision.Drop`.
        """


class IDetermineTarget(Interface):
    """
    May say that a request is meant for somebody else: short dials, prefixes.
    """

    def determine_target(ticket, from_phone):
        """
        :param Ticket ticket: a request; Routes that name us are gone.
        :param bool from_phone: whether it comes from a phone of ours, and not from
            the world.  Mind ``ticket.in_dialog`` as well.
        :returns: ``None``; a ``Ticket`` to be routed in its place, mostly
            ``retargeted(ticket, uri)``; or a decision: a ``Reply``, as
            ``moved(uri)`` makes one, ``Drop`` or ``Forward``.
        """


class IUnknownParty(Interface):
    """
    May say who is meant by a request that is for nobody we know.
    """

    def unknown_party(ticket, from_phone):
        """
        :param Ticket ticket: a request that would be answered 404 or 480.
        :param bool from_phone: whether it comes from a phone of ours.
        :returns: ``None``; a ``Ticket`` whose Request-URI names a phone of ours (for
            nobody else it stays 404); or a ``Reply``, ``Drop`` or ``Forward``.
        """


class IPreProxy(Interface):
    """
    Sees what was decided about a request that goes on, before it is masked and
    before its media is anchored; what it changes is masked and anchored, too.

    Sees a CANCEL as well, which it cannot change.
    """

    def pre_proxy(forward):
        """
        :param Forward forward: ``ticket`` is the request, ``targets`` where it goes,
            ``from_phone`` and ``to_phone`` who talks to whom.
        :returns: ``None``; a ``Ticket`` in the place of the one in ``forward``; or a
            ``Forward``, ``Reply`` or ``Drop`` in its place.
        """


class IMedia(Interface):
    """
    May change session descriptions, before our ports are written into them.
    """

    def media(sdp, message, from_phone):
        """
        :param bytes sdp: the description alone, also out of a multipart body.
        :param message: the ``Request`` or ``Response`` that carries it.
        :param bool from_phone: whether a phone of ours wrote it.
        :returns: ``None``, or the description as bytes to go in its place.
        """


class IResponse(Interface):
    """
    Sees a response on its way back, before it is masked.
    """

    def response(response, passage):
        """
        :param Response response: as its sender wrote it.  Repeated responses,
            responses that lose against a better one of the same fork, and our own
            refusals of what went nowhere do not come here.
        :param Passage passage: of the request: ``method``, ``hop`` (who answers),
            ``from_phone``, ``to_phone``, ``in_dialog``, ``sent_at``.
        :returns: ``None``, or another ``Response``.
        """


class IPostProxy(Interface):
    """
    Sees every request and response that goes out, our own responses included, as
    it is sent; once, whether it is repeated or not.
    """

    def post_proxy(message, hop, side):
        """
        :param message: a ``Request`` or ``Response``.  Its topmost Via belongs to us.
        :param Hop hop: where it goes.
        :param Side side: which of our sockets sends it.
        :returns: ``None``, or another message of the same kind.
        """


class ICallEnded(Interface):
    """
    Is told of each call that is over, or came to nothing.
    """

    def call_ended(call):
        """
        :param EndedCall call: see :class:`~siptwist.proxy.session.records.EndedCall`.
        """


class ITimer(Interface):
    """
    Is asked again and again, whether there are messages or not.
    """

    interval = Attribute("Seconds between two calls, for the first one as well.")

    def timer(now):
        """
        :param float now: in seconds, as in ``ticket.now``.
        """


class IReport(Interface):
    """
    Is asked when somebody wants to know: on SIGUSR1.
    """

    def report(now):
        """
        :param float now: in seconds.
        """


class ILifetime(Interface):
    """
    Has something to open and to close.
    """

    def start():
        """
        The proxy starts.

        :raises SIPTwistError: with a sentence that ends the start.  Any other error
            is logged, and the proxy starts without this plugin.
        """

    def stop():
        """
        The proxy stops, or takes another plugin in this one's place.

        :returns: ``None``, or a ``Deferred`` that is waited for.
        """


# By the name of their method.
STAGES = {
    "raw": IRaw,
    "validate": IValidate,
    "determine_target": IDetermineTarget,
    "unknown_party": IUnknownParty,
    "pre_proxy": IPreProxy,
    "media": IMedia,
    "response": IResponse,
    "post_proxy": IPostProxy,
    "call_ended": ICallEnded,
    "timer": ITimer,
    "report": IReport,
}


class IPluginMaker(Interface):
    """
    What a module offers to be found as a plugin.
    """

    name = Attribute("What ``load_plugin`` says, without ``plugin_``.")
    prefix = Attribute("How the names of its options begin: ``plugin_<name>_``.")
    options = Attribute("A frozen dataclass of ``option(...)`` lines; its table.")
    methods = Attribute("The SIP methods whose messages it sees; ``None`` is all.")
    needs = Attribute("Keys of options without which it has nothing to do.")

    def check(options):
        """
        :param options: an instance of ``options``.
        :returns: pairs of the name of an option, without prefix, and a sentence that
            says what is wrong with it.
        """

    def make(options, house):
        """
        :param options: an instance of ``options``.
        :param House house: what the plugin may use.
        :returns: an object that implements stages.
        :raises SIPTwistError: with a sentence that ends the start.
        """
