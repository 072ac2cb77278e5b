"""
Where phones are: found by every key, forgotten in time.
"""

from __future__ import annotations

import random
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.location import LAPSED_LIMIT, Binding, Locations, load
from siptwist.sip.hop import Hop
from siptwist.sip.uri import SIPURI
from tests.proxy.registering import NOW, PHONE, make_binding

AOR = "sip:alice@provider.example"


class BindingTests(SynchronousTestCase):
    def test_hop_of_contact(self) -> None:
        """
        A phone whose Contact names the address it sends from is reached at the
        Contact's port.
        """
        binding = make_binding(source=Hop("10.0.0.5", 40_000))
        self.assertEqual(binding.hop, Hop("10.0.0.5", 5060))

    def test_hop_of_source(self) -> None:
        """
        Any other phone is reached where its REGISTER came from (F14 and F17 of siproxd).
        """
        binding = make_binding(contact="sip:a@192.168.1.1", source=Hop("10.0.0.9", 7))
        self.assertEqual(binding.hop, Hop("10.0.0.9", 7))

    def test_hop_of_malformed_contact(self) -> None:
        """
        So is a phone whose Contact cannot be read.
        """
        self.assertEqual(make_binding(contact="sip:").hop, PHONE)

    def test_user(self) -> None:
        """
        The user part of an address-of-record that has one.
        """
        self.assertEqual(make_binding(aor="sip:al%69ce@x").user, "alice")
        self.assertEqual(make_binding(aor="sip:provider.example").user, "")

    def test_has_contact(self) -> None:
        """
        Contacts are compared as URIs; one that cannot be read equals none.
        """
        uri = SIPURI.parse("sip:alice@10.0.0.5:5060;new")
        self.assertTrue(make_binding().has_contact(uri))
        self.assertFalse(make_binding(contact="sip:").has_contact(uri))


class LookupTests(SynchronousTestCase):
    def test_every_key(self) -> None:
        """
        A binding is found by address-of-record, user, mask and both addresses.
        """
        binding = make_binding(source=Hop("10.0.0.5", 4000))
        locations = load([binding], 10)
        self.assertEqual(locations.lookup(AOR, NOW), [binding])
        self.assertEqual(locations.lookup_user("%61lice", NOW), [binding])
        self.assertIs(locations.by_mask(binding.mask), binding)
        self.assertEqual(locations.by_hop(Hop("10.0.0.5", 4000)), [binding])
        self.assertEqual(locations.by_hop(Hop("10.0.0.5", 5060)), [binding])
        self.assertTrue(locations.knows_host("10.0.0.5"))
        self.assertEqual(list(locations), [binding])

    def test_nobody(self) -> None:
        """
        Who is not there is not found.
        """
        locations = load([make_binding()], 10)
        self.assertEqual(locations.lookup("sip:bob@provider.example", NOW), [])
        self.assertEqual(locations.lookup_user("bob", NOW), [])
        self.assertIsNone(locations.by_mask("x"))
        self.assertEqual(locations.by_hop(Hop("10.0.0.5", 5061)), [])
        self.assertFalse(locations.knows_host("10.0.0.6"))
        self.assertIsNone(locations.remove("x"))

    def test_newest_first(self) -> None:
        """
        Of several phones the one that registered last comes first.
        """
        old = replace(make_binding("a"), updated_at=NOW - 9)
        new = replace(make_binding("b"), updated_at=NOW - 1)
        self.assertEqual(load([old, new], 10).lookup(AOR, NOW), [new, old])

    def test_replaced_elsewhere(self) -> None:
        """
        A binding that is replaced is no longer found by what it was.
        """
        locations = load([make_binding()], 10)
        locations.put(make_binding(aor="sip:bob@x", source=Hop("10.0.0.6", 1)))
        self.assertEqual((len(locations), locations.lookup(AOR, NOW)), (1, []))
        self.assertEqual(locations.lookup_user("alice", NOW), [])
        self.assertFalse(locations.knows_host("10.0.0.5"))

    def test_moved(self) -> None:
        """
        A phone that registered anew from another port is found by its old Contact.
        """
        old = make_binding("a")
        new = replace(make_binding("b", contact="sip:alice@10.0.0.5:6060"), created_at=NOW + 5)
        locations = load([old, new], 10)
        contact = SIPURI.parse(old.contact)
        self.assertEqual(locations.moved(contact, AOR, NOW), new)
        self.assertIsNone(locations.moved(contact, AOR, NOW + 5))
        self.assertIsNone(locations.moved(contact, "sip:bob@x", NOW))

    def test_moved_past_malformed(self) -> None:
        """
        A Contact that cannot be read is nobody's new one.
        """
        locations = load([replace(make_binding(contact="sip:"), created_at=NOW + 5)], 10)
        self.assertIsNone(locations.moved(SIPURI.parse("sip:alice@10.0.0.5"), AOR, NOW))


class RoomTests(SynchronousTestCase):
    def test_table(self) -> None:
        """
        A full table has room for nothing new.
        """
        locations = load([make_binding("a"), make_binding("b")], 3)
        self.assertTrue(locations.has_room(1, "10.9.9.9"))
        self.assertFalse(locations.has_room(2, "10.9.9.9"))
        locations.put(make_binding("c"))
        self.assertTrue(locations.is_full)
        self.assertTrue(locations.has_room(0, "10.9.9.9"))

    def test_source(self) -> None:
        """
        One address has room for its share only (S14 of siproxd).
        """
        locations = Locations(10, source_limit=2)
        locations.put(make_binding("a", contact="sip:a@10.0.0.5:1"))
        self.assertTrue(locations.has_room(1, PHONE.host))
        locations.put(make_binding("b"))
        self.assertFalse(locations.has_room(1, PHONE.host))
        self.assertTrue(locations.has_room(1, "10.0.0.6"))
        locations.remove("b")
        self.assertTrue(locations.has_room(1, PHONE.host))


class ExpiryTests(SynchronousTestCase):
    def test_not_found_when_lapsed(self) -> None:
        """
        A binding is not found from the moment it lapses.
        """
        locations = load([make_binding(expires_at=NOW)], 10)
        self.assertEqual(locations.lookup(AOR, NOW), [])
        self.assertEqual(len(locations.lookup(AOR, NOW - 1)), 1)

    def test_forgotten(self) -> None:
        """
        What has lapsed is forgotten, what has not stays.
        """
        locations = load([make_binding("a", expires_at=NOW), make_binding("b")], 10)
        self.assertEqual([binding.mask for binding in locations.expire(NOW)], ["a"])
        self.assertEqual([binding.mask for binding in locations], ["b"])
        self.assertEqual(locations.expire(NOW), [])

    def test_renewed(self) -> None:
        """
        A binding renewed in time outlives its first lifetime.
        """
        locations = load([make_binding(expires_at=NOW)], 10)
        locations.put(make_binding(expires_at=NOW + 60))
        self.assertEqual(locations.expire(NOW), [])
        self.assertEqual(len(locations.expire(NOW + 60)), 1)

    def test_lapsed_is_remembered(self) -> None:
        """
        Whether somebody was here is remembered, until the phone is back.
        """
        locations = load([make_binding(expires_at=NOW)], 10)
        self.assertFalse(locations.has_lapsed(AOR))
        locations.expire(NOW)
        self.assertTrue(locations.has_lapsed(AOR))
        locations.put(make_binding())
        self.assertFalse(locations.has_lapsed(AOR))

    def test_memory_of_lapsed_is_bounded(self) -> None:
        """
        Only so many of those who were here are remembered, the latest.
        """
        count = LAPSED_LIMIT + 10
        many = [make_binding(str(n), aor=f"sip:{n}@x", expires_at=NOW) for n in range(count)]
        locations = load(many, count)
        locations.expire(NOW)
        self.assertEqual(sum(locations.has_lapsed(binding.aor) for binding in many), LAPSED_LIMIT)

    def test_renewals_do_not_pile_up(self) -> None:
        """
        A phone that renews a thousand times leaves no thousand deadlines.
        """
        locations = Locations()
        for second in range(1000):
            locations.put(make_binding(expires_at=NOW + second))
        self.assertLess(len(locations._deadlines), 100)


class ModelTests(SynchronousTestCase):
    def test_like_a_list(self) -> None:
        """
        Whatever phones do, every way to find them gives what a plain list gives.
        """
        chance = random.Random(10)
        locations, model = Locations(), dict[str, Binding]()
        for step in range(2000):
            now = NOW + step
            mask = str(chance.randrange(40))
            if chance.random() < 0.25:
                locations.remove(mask)
                model.pop(mask, None)
            else:
                model[mask] = make_binding(
                    mask,
                    aor=f"sip:{chance.randrange(8)}@x{chance.randrange(2)}",
                    contact=f"sip:a@10.0.0.{chance.randrange(4)}:{chance.randrange(1, 4)}",
                    source=Hop(f"10.0.0.{chance.randrange(4)}", chance.randrange(1, 4)),
                    expires_at=now + chance.randrange(1, 60),
                )
                locations.put(model[mask])
            if chance.random() < 0.2:
                dead = {m for m, binding in model.items() if not binding.is_active(now)}
                self.assertEqual({binding.mask for binding in locations.expire(now)}, dead)
                model = {m: binding for m, binding in model.items() if m not in dead}
            self.check(locations, model, chance, now)

    def check(
        self, locations: Locations, model: dict[str, Binding], chance: random.Random, now: float
    ) -> None:
        aor = f"sip:{chance.randrange(8)}@x{chance.randrange(2)}"
        hop = Hop(f"10.0.0.{chance.randrange(4)}", chance.randrange(1, 4))
        active = [binding for binding in model.values() if binding.is_active(now)]
        self.assertEqual(len(locations), len(model))
        self.assertCountEqual(
            locations.lookup(aor, now), [binding for binding in active if binding.aor == aor]
        )
        self.assertCountEqual(
            locations.lookup_user(aor[4], now), [b for b in active if b.user == aor[4]]
        )
        self.assertCountEqual(
            locations.by_hop(hop), [b for b in model.values() if hop in (b.hop, b.source)]
        )
        self.assertEqual(
            locations.knows_host(hop.host),
            any(hop.host == binding.source.host for binding in model.values()),
        )
