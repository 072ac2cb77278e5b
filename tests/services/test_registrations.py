"""
Registrations are on disk before they are acknowledged, and are there again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.interfaces import IRegistrationStore
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.registration.repeating import Repeat
from siptwist.services.registrations import RegistrationService, StoreClosed
from siptwist.services.storage.database import RegistrationFileError
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI
from tests.proxy.registering import NOW, make_binding


class StoreTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.directory = self.mktemp()
        self.path = os.path.join(self.directory, "registrations")

    def start(self, is_own: Callable[[SIPURI], bool] = lambda uri: False) -> RegistrationService:
        service = RegistrationService(self.path, self.clock, Locations(), is_own)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def write(self, data: bytes) -> None:
        os.makedirs(self.directory, exist_ok=True)
        with open(self.path, "wb") as file:
            file.write(data)

    def on_disk(self) -> list[str]:
        """
        The masks that another process would see.
        """
        connection = sqlite3.connect(self.path)
        try:
            return [mask for (mask,) in connection.execute("SELECT mask FROM bindings")]
        finally:
            connection.close()

    def files(self, part: str) -> list[str]:
        return [name for name in os.listdir(self.directory) if part in name]

    def put(self, service: RegistrationService, binding: Binding) -> None:
        """
        Register as the proxy does, and commit.
        """
        service.locations.put(binding)
        saved = service.save([binding], [])
        self.clock.advance(0)
        self.successResultOf(saved)


def texts(events: Any) -> list[str]:
    return [event["log_format"] for event in events if event.get("log_format")]


class SaveTests(StoreTestCase):
    def test_interface(self) -> None:
        """
        The service is a store as the proxy knows it.
        """
        self.assertTrue(verifyObject(IRegistrationStore, self.start()))

    def test_commit_before_answer(self) -> None:
        """
        A registration is on disk when its Deferred fires, and not sooner.
        """
        service = self.start()
        saved = service.save([make_binding("a")], [])
        self.assertNoResult(saved)
        self.assertEqual(self.on_disk(), [])
        saved.addCallback(lambda _: self.on_disk())
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(saved), ["a"])

    def test_no_secrets(self) -> None:
        """
        How a phone proved itself to its provider stays in memory.
        """
        service = self.start()
        repeat = Repeat(
            "sip:p.example", b"Authorization: Digest 1f2e3d", "<sip:a@b>", "sip:c", 1e12
        )
        self.put(service, replace(make_binding("a"), repeat=repeat))
        [loaded] = service.load()
        self.assertIsNone(loaded.repeat)
        for name in self.files(""):
            with open(os.path.join(self.directory, name), "rb") as file:
                self.assertNotIn(b"1f2e3d", file.read())

    def test_one_commit_a_turn(self) -> None:
        """
        All that is saved in one turn of the reactor goes in one commit.
        """
        service = self.start()
        commits: list[dict[str, Binding | None]] = []
        database: Any = service._database
        database.write = lambda changes: commits.append(dict(changes))
        waiting = [service.save([make_binding(mask)], []) for mask in "abc"]
        waiting.append(service.save([], ["b"]))
        self.clock.advance(0)
        for saved in waiting:
            self.successResultOf(saved)
        self.assertEqual([list(changes) for changes in commits], [["a", "b", "c"]])
        self.assertIsNone(commits[0]["b"])

    def test_order(self) -> None:
        """
        What was said last about a registration is what stays.
        """
        service = self.start()
        service.save([make_binding("a")], [])
        service.save([], ["a"])
        service.save([make_binding("b")], [])
        service.save([], ["b"])
        service.save([make_binding("b")], [])
        self.clock.advance(0)
        self.assertEqual(self.on_disk(), ["b"])

    def test_nothing(self) -> None:
        """
        To save nothing needs no disk.
        """
        self.assertIsNone(self.successResultOf(self.start().save([], [])))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_durable(self) -> None:
        """
        The database syncs every commit: SQLite's FULL, with a write-ahead log.
        """
        database: Any = self.start()._database
        execute = database._connection.execute
        self.assertEqual(list(execute("PRAGMA synchronous")), [(2,)])
        self.assertEqual(list(execute("PRAGMA journal_mode")), [("wal",)])

    def test_not_started(self) -> None:
        """
        A store that is not open keeps nothing, and says so.
        """
        service = RegistrationService(self.path, self.clock, Locations())
        self.failureResultOf(service.save([make_binding()], []), StoreClosed)
        self.assertRaises(StoreClosed, service.load)

    def test_stop_writes(self) -> None:
        """
        What waits when the service stops is written, and acknowledged.
        """
        service = RegistrationService(self.path, self.clock, Locations())
        service.startService()
        saved = service.save([make_binding("a")], [])
        again = saved.addCallback(lambda _: service.save([make_binding("b")], []))
        service.stopService()
        self.failureResultOf(again, StoreClosed)
        self.assertEqual(self.on_disk(), ["a"])
        self.assertEqual(self.files(""), ["registrations"])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LoadTests(StoreTestCase):
    def restart(self, *bindings: Binding) -> RegistrationService:
        service = RegistrationService(self.path, self.clock, Locations())
        service.startService()
        for binding in bindings:
            self.put(service, binding)
        service.stopService()
        return self.start()

    def test_everything_is_kept(self) -> None:
        """
        A registration comes back as it was, with what a wire may carry.
        """
        binding = make_binding(
            contact="sip:al\udcffice@[2001:db8::5]:5060;ob",
            source=Hop("2001:db8::5", 40_000, "TCP"),
            parameters=';+sip.instance="<urn:uuid:1>";x=\u20ac\udc80',
            path=("<sip:a;lr>", "<sip:b;lr>"),
            user_agent="Phone\0 1",
            cseq=2**31 - 1,
        )
        self.assertEqual(list(self.restart(binding).locations), [binding])

    def test_both_sides(self) -> None:
        """
        So does the side where its phone is.
        """
        [binding] = self.restart(make_binding()).locations
        self.assertIs(binding.side, Side.INSIDE)

    def test_renewed(self) -> None:
        """
        A renewed registration comes back once, as it was last.
        """
        renewed = make_binding(cseq=9)
        self.assertEqual(list(self.restart(make_binding(), renewed).locations), [renewed])

    def test_lapsed_while_away(self) -> None:
        """
        What lapsed while siptwist was down is gone, from the disk too.
        """
        service = RegistrationService(self.path, self.clock, Locations())
        service.startService()
        self.put(service, make_binding("a", expires_at=NOW + 10))
        self.put(service, make_binding("b", expires_at=NOW + 99))
        service.stopService()
        self.clock.advance(10)
        self.assertEqual([binding.mask for binding in self.start().locations], ["b"])
        self.assertEqual(self.on_disk(), ["b"])

    def test_unreadable_row(self) -> None:
        """
        A row that makes no sense is skipped, and the others come back.
        """
        self.restart(make_binding("a"), make_binding("b"), make_binding("c")).stopService()
        connection = sqlite3.connect(self.path)
        connection.execute("UPDATE bindings SET side = 'above' WHERE mask = 'a'")
        connection.execute("UPDATE bindings SET port = x'00ff' WHERE mask = 'b'")
        connection.commit()
        connection.close()
        with capturedLogs() as events:
            service = self.start()
        self.assertEqual([binding.mask for binding in service.locations], ["c"])
        self.assertIn("Skipped {count} unreadable registrations", texts(events))

    def test_for_our_eyes_only(self) -> None:
        """
        Nobody else can read where phones are; the directory is made.
        """
        self.directory = os.path.join(self.directory, "deep", "er")
        self.path = os.path.join(self.directory, "registrations")
        self.put(self.start(), make_binding())
        for name in self.files("registrations"):
            mode = os.stat(os.path.join(self.directory, name)).st_mode
            self.assertEqual(mode & 0o777, 0o600, name)
        self.assertEqual(os.stat(self.directory).st_mode & 0o777, 0o700)

    def test_old_file_is_closed(self) -> None:
        """
        A file that others could read is closed to them.
        """
        self.write(b"")
        os.chmod(self.path, 0o644)
        self.start()
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)


class FailureTests(StoreTestCase):
    def fill_disk(self, service: RegistrationService, pages: int) -> None:
        database: Any = service._database
        database._connection.execute(f"PRAGMA max_page_count = {pages}")

    def big(self, mask: str) -> Binding:
        return make_binding(mask, contact="sip:" + "a" * 20_000 + "@10.0.0.5")

    def test_disk_full(self) -> None:
        """
        On a full disk everybody who waits hears of it, the operator once.
        """
        service = self.start()
        self.fill_disk(service, 1)
        with capturedLogs() as events:
            for _ in range(3):
                waiting = [service.save([self.big(mask)], []) for mask in "ab"]
                self.clock.advance(0)
                for saved in waiting:
                    self.failureResultOf(saved, sqlite3.Error)
        self.assertEqual(texts(events), ["Registrations cannot be saved to {path}: {error}"])
        self.assertEqual(self.on_disk(), [])

    def test_memory_goes_on(self) -> None:
        """
        Phones stay reachable while the disk fails, and are written when it
        works again.
        """
        service = self.start()
        self.fill_disk(service, 1)
        for mask in "ab":
            service.locations.put(self.big(mask))
            saved = service.save([self.big(mask)], [])
            self.clock.advance(0)
            self.failureResultOf(saved, sqlite3.Error)
        service.locations.remove("a")
        self.assertEqual(len(service.locations), 1)
        self.fill_disk(service, 100_000)
        with capturedLogs() as events:
            self.clock.pump([5, 0])
        self.assertEqual(texts(events), ["Registrations are saved to {path} again"])
        self.assertEqual(self.on_disk(), ["b"])

    def test_locked(self) -> None:
        """
        Somebody who holds the database does not hold the proxy.
        """
        service = self.start()
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        saved = service.save([make_binding("a")], [])
        self.clock.advance(0)
        self.failureResultOf(saved, sqlite3.OperationalError)
        other.close()
        saved = service.save([make_binding("b")], [])
        self.clock.advance(0)
        self.successResultOf(saved)
        self.assertEqual(self.on_disk(), ["b"])


class ExpiryTests(StoreTestCase):
    def test_forgotten(self) -> None:
        """
        Lapsed registrations leave memory and disk, and the log says how many.
        """
        service = self.start()
        retired = []
        service.retire = lambda binding, now: retired.append((binding.mask, now))
        self.put(service, make_binding("a", expires_at=NOW + 3))
        self.put(service, make_binding("b", expires_at=NOW + 99))
        with capturedLogs() as events:
            self.clock.pump([5, 0])
        self.assertEqual((len(service.locations), self.on_disk()), (1, ["b"]))
        self.assertEqual(retired, [("a", NOW + 5)])
        self.assertEqual([event["count"] for event in events], [1])
        self.assertEqual(texts(events), ["Forgot {count} expired registrations"])

    def test_nobody_lapsed(self) -> None:
        """
        When nobody lapsed nothing is logged or written.
        """
        self.put(self.start(), make_binding())
        with capturedLogs() as events:
            self.clock.pump([5] * 4)
        self.assertEqual(texts(events), [])


class StartTests(StoreTestCase):
    def refused(self) -> str:
        service = RegistrationService(self.path, self.clock, Locations())
        error = self.assertRaises(RegistrationFileError, service.startService)
        self.assertFalse(service.running)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn(f"registration_file {self.path}: ", str(error))
        return str(error)

    def test_corrupt(self) -> None:
        """
        A damaged database is moved aside, the operator is told once, and
        siptwist starts with none.
        """
        service = RegistrationService(self.path, self.clock, Locations())
        service.startService()
        for number in range(200):
            service.save([make_binding(str(number))], [])
        service.stopService()
        with open(self.path, "r+b") as file:
            file.seek(100)
            file.write(os.urandom(8000))
        with capturedLogs() as events:
            service = self.start()
        self.assertEqual(len(service.locations), 0)
        self.assertEqual(self.files("corrupt"), ["registrations.corrupt-20260921T141320Z"])
        errors = [event for event in events if event["log_level"].name == "error"]
        self.assertEqual(len(errors), 1)
        self.put(service, make_binding("a"))
        self.assertEqual(self.on_disk(), ["a"])

    def test_truncated(self) -> None:
        """
        So is one that lost its end.
        """
        service = RegistrationService(self.path, self.clock, Locations())
        service.startService()
        for number in range(200):
            service.save([make_binding(str(number))], [])
        service.stopService()
        os.truncate(self.path, 5000)
        self.assertEqual(len(self.start().locations), 0)
        self.assertEqual(len(self.files("corrupt")), 1)

    def test_zeros(self) -> None:
        """
        So is a file of zeros, as a power cut may leave it.
        """
        self.write(bytes(4096))
        self.assertEqual(len(self.start().locations), 0)
        self.assertEqual(len(self.files("corrupt")), 1)

    def test_table_missing(self) -> None:
        """
        So is one of ours without our table.
        """
        self.start().stopService()
        connection = sqlite3.connect(self.path)
        connection.execute("DROP TABLE bindings")
        connection.close()
        self.start()
        self.assertEqual(len(self.files("corrupt")), 1)

    def test_torn_log(self) -> None:
        """
        A write-ahead log without its end costs what was not acknowledged,
        and no more.
        """
        service = self.start()
        self.put(service, make_binding("a"))
        with open(f"{self.path}-wal", "rb") as file:
            before = file.read()
        self.put(service, make_binding("b"))
        with open(self.path, "rb") as file:
            database = file.read()
        with open(f"{self.path}-wal", "rb") as file:
            after = file.read()
        self.path += "-copy"
        self.write(database)
        with open(f"{self.path}-wal", "wb") as file:
            file.write(after[: len(before) + (len(after) - len(before)) // 2])
        self.assertEqual([binding.mask for binding in self.start().locations], ["a"])
        self.assertEqual(self.files("corrupt"), [])

    def test_empty_file(self) -> None:
        """
        An empty file is a database to be.
        """
        self.write(b"")
        self.put(self.start(), make_binding("a"))
        self.assertEqual(self.on_disk(), ["a"])

    def test_other_file(self) -> None:
        """
        A file of something else is left alone, and the start says so.
        """
        self.write(b"password = secret\n" * 10)
        self.assertIn("is neither a database nor a table of siproxd", self.refused())
        with open(self.path, "rb") as file:
            self.assertTrue(file.read().startswith(b"password"))

    def test_other_database(self) -> None:
        """
        So is a database of something else.
        """
        os.makedirs(self.directory)
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE blacklist (ip)")
        connection.close()
        self.assertIn("is a database of something else", self.refused())

    def test_newer_version(self) -> None:
        """
        So is one that a later siptwist wrote.
        """
        self.start().stopService()
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.assertIn("newer version of siptwist", self.refused())
        self.assertEqual(self.files("corrupt"), [])

    def test_out_of_reach(self) -> None:
        """
        A path where no file can be fails the start, and names the option; nothing there is
        removed (siproxd's fault R4: it removed what it could not open).
        """
        os.makedirs(self.path)
        self.assertIn("Is a directory", self.refused())
        os.rmdir(self.path)
        self.write(b"")
        self.path = os.path.join(self.path, "below")
        self.refused()

    def test_locked(self) -> None:
        """
        A database that somebody holds fails the start, and stays where it is.
        """
        self.start().stopService()
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        self.assertIn("locked", self.refused())
        other.close()
        self.start()
        self.assertEqual(self.files("corrupt"), [])


class TakeOverTests(StoreTestCase):
    """
    A house moves from siproxd to siptwist.
    """

    TABLE = "\n".join(
        (
            f"****:1:{int(NOW) + 500}",
            "sip:alice@10.0.0.5:5062;line=x",
            "sip:alice@203.0.113.7",
            "sip:alice@Provider.example",
            "****:0:0",
            f"****:1:{int(NOW) + 600}",
            "sip:bob@10.0.0.6",
            "sip:bob@203.0.113.7",
            "sip:bob@10.0.0.1",
            f"****:1:{int(NOW) - 1}",
            "sip:late@10.0.0.7",
            "sip:late@203.0.113.7",
            "sip:late@provider.example",
            *["****:0:0"] * 508,
            "",
        )
    )

    def take_over(self, table: str) -> RegistrationService:
        self.write(table.encode())
        with capturedLogs() as events:
            service = self.start(lambda uri: uri.address == "10.0.0.1")
        self.counts = [(event["count"], event["skipped"]) for event in events if "skipped" in event]
        return service

    def test_bindings(self) -> None:
        """
        Phones that siproxd knew, and that have not lapsed, are known at once.
        """
        service = self.take_over(self.TABLE)
        [alice] = service.locations.lookup("sip:alice@provider.example", NOW)
        self.assertEqual(alice.contact, "sip:alice@10.0.0.5:5062;line=x")
        self.assertEqual(alice.hop, Hop("10.0.0.5", 5062))
        self.assertEqual((alice.registrar, alice.expires_at), ("provider.example", NOW + 500))
        self.assertRegex(alice.mask, "^[0-9a-f]{12}$")
        self.assertEqual(len(service.locations), 2)
        self.assertEqual(self.counts, [(2, 0)])

    def test_own_registrar(self) -> None:
        """
        Those that had siproxd itself as registrar have us.
        """
        [bob] = self.take_over(self.TABLE).locations.lookup("sip:bob@10.0.0.1", NOW)
        self.assertEqual(bob.registrar, "")

    def test_once(self) -> None:
        """
        The table is kept beside, and the next start reads our database (siproxd's fault
        R4: a rewrite that was cut short lost the file).
        """
        self.take_over(self.TABLE).stopService()
        with open(f"{self.path}.siproxd-backup") as file:
            self.assertEqual(file.read(), self.TABLE)
        with capturedLogs() as events:
            self.assertEqual(len(self.start().locations), 2)
        self.assertFalse(any("siproxd" in text for text in texts(events)))
        names = ["", "-shm", "-wal", ".siproxd-backup"]
        self.assertEqual(sorted(self.files("")), [f"registrations{name}" for name in names])

    def test_interrupted(self) -> None:
        """
        An import that was cut short is done again from the beginning.
        """
        self.write(b"")
        with open(f"{self.path}.importing", "wb") as file:
            file.write(b"SQLite format 3\0 but not whole")
        self.assertEqual(len(self.take_over(self.TABLE).locations), 2)

    def test_bad_slots(self) -> None:
        """
        Slots that make no sense are skipped and counted; the others come over (siproxd's
        fault R4: one bad line cost all of them).
        """
        later = int(NOW) + 9
        table = "\n".join(
            (
                f"****:1:{later}",
                "sip:a@10.0.0.5",
                f"****:1:{later}",
                "sip:phone.example",
                "sip:a@203.0.113.7",
                "sip:a@provider.example",
                f"****:1:{later}",
                "not a URI",
                "sip:a@203.0.113.7",
                "sip:a@provider.example",
                "****:x:y",
                self.TABLE,
            )
        )
        self.assertEqual(len(self.take_over(table).locations), 2)
        self.assertEqual(self.counts, [(2, 3)])

    def test_empty_table(self) -> None:
        """
        A table with nobody in it comes over as well.
        """
        self.assertEqual(len(self.take_over("****:0:0\n" * 512).locations), 0)

    def test_cut_off(self) -> None:
        """
        A table that ends in the middle gives what it holds.
        """
        for length in range(len("****:"), len(self.TABLE), 97):
            service = self.take_over(self.TABLE[:length])
            self.assertLessEqual(len(service.locations), 2)
            service.stopService()
