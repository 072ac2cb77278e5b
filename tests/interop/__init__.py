"""
Calls between programs that nobody here wrote, through ``twistd siproxy``.

``make interop`` runs this as root with ``SIPTWIST_INTEROP=1``; the Debian packages it
needs are in ``.ci/packages``.  Everything stays in network namespaces that
:mod:`~tests.interop.bed` makes and removes.  The logs, captures and recordings of the
last run stay in ``interop/`` of trial's directory.

================  ==================================================================
bed, program      hosts, and what runs on them
proxy             siptwist itself
provider          Kamailio and dnsmasq: the outside world
phone, tone       baresip, and whether it hears the other's voice
capture           what went over a wire
load              SIPp; its scenarios are in ``sipp/``
case              what every test starts from
================  ==================================================================

This is the one place where tests wait on the real clock, and then for a condition.
"""
