"""
Tests for siptwist.proxy.forking.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader, SIPError
from siptwist.proxy.decision import Target
from siptwist.proxy.forking import Fork, Verdict, as_upstream, spread
from siptwist.sip.message import Response
from tests.proxy.asking import request, response


def fork(*qs: float) -> Fork:
    return Fork([Target(f"sip:{number}@phone", q=q) for number, q in enumerate(qs)])


class ForkTests(SynchronousTestCase):
    """
    One request, several targets, one answer (RFC 3261 section 16.7).
    """

    def begun(self, *branches: str, q: tuple[float, ...] = ()) -> Fork:
        made = fork(*(q or (1.0,) * len(branches)))
        made.next_group()
        for branch in branches:
            made.begin(branch)
        return made

    def told(self, made: Fork, branch: str, status: int, *lines: str) -> int | None:
        """
        The status that goes back, if one does.
        """
        verdict = made.receive(branch, response(status, *lines))
        return None if verdict.forward is None else verdict.forward.status

    def test_groups(self) -> None:
        """
        Targets of equal q ring together, higher ones first.
        """
        made = fork(0.5, 1.0, 0.5, 0.1)
        groups = []
        while group := made.next_group():
            groups.append([target.uri for target in group])
        self.assertEqual(groups, [["sip:1@phone"], ["sip:0@phone", "sip:2@phone"], ["sip:3@phone"]])

    def test_provisional(self) -> None:
        """
        Ringing goes back from every branch, 100 never does.
        """
        made = self.begun("a", "b")
        self.assertEqual([self.told(made, "a", s) for s in (100, 180, 183)], [None, 180, 183])
        self.assertEqual(self.told(made, "b", 180), 180)

    def test_answer(self) -> None:
        """
        An answer goes back at once, and the others are cancelled.
        """
        made = self.begun("a", "b", "c")
        verdict = made.receive("b", response(200))
        assert verdict.forward is not None
        self.assertEqual((verdict.forward.status, verdict.branch), (200, "b"))
        self.assertEqual(set(verdict.cancel), {"a", "c"})
        self.assertEqual(made.next_group(), [])

    def test_second_answer(self) -> None:
        """
        A second answer goes back too, and cancels nobody again.
        """
        made = self.begun("a", "b", "c")
        self.told(made, "a", 200)
        verdict = made.receive("b", response(200))
        self.assertEqual((verdict.forward is not None, verdict.cancel), (True, ()))

    def test_after_the_answer(self) -> None:
        """
        Once answered, neither ringing nor refusals go back.
        """
        made = self.begun("a", "b", "c")
        self.told(made, "a", 200)
        self.assertEqual([self.told(made, "b", s) for s in (180, 487)], [None, None])

    def test_waits_for_all(self) -> None:
        """
        A refusal waits until all have refused; of equal ones the first goes back.
        """
        made = self.begun("a", "b")
        self.assertEqual([self.told(made, "a", 486), self.told(made, "b", 404)], [None, 486])

    def test_ranks(self) -> None:
        """
        6xx before the lowest class; what helps to repair before others; 408 last of its class.
        """
        cases = (
            ((500, 404), 404),
            ((404, 302), 302),
            ((486, 603), 603),
            ((408, 480), 480),
            ((404, 407), 407),
            ((503, 408), 408),
        )
        for statuses, best in cases:
            for first, second in (statuses, statuses[::-1]):
                made = self.begun("a", "b")
                self.told(made, "a", first)
                self.assertEqual(self.told(made, "b", second), best, statuses)

    def test_decline_everywhere(self) -> None:
        """
        6xx cancels the others and waits for them; no further target is tried.
        """
        made = self.begun("a", "b", q=(1.0, 1.0, 0.5))
        verdict = made.receive("a", response(603))
        self.assertEqual((verdict.forward, verdict.cancel), (None, ("b",)))
        self.assertEqual(self.told(made, "b", 487), 603)

    def test_next_group(self) -> None:
        """
        When all of a group have refused, the next is to be tried.
        """
        made = self.begun("a", q=(1.0, 0.5))
        self.assertEqual(made.receive("a", response(486)), Verdict(try_next=True))
        self.assertEqual([target.uri for target in made.next_group()], ["sip:1@phone"])
        made.begin("b")
        self.assertEqual(self.told(made, "b", 500), 486)

    def test_cancelled(self) -> None:
        """
        After the caller gave up, no further group is tried, and the best refusal goes back.
        """
        made = self.begun("a", q=(1.0, 0.5))
        self.assertEqual(made.cancel(), ("a",))
        self.assertEqual(self.told(made, "a", 487), 487)
        self.assertEqual(made.next_group(), [])

    def challenges(self, *answers: tuple[int, str]) -> Response:
        made = self.begun(*(str(number) for number in range(len(answers))))
        for number, (status, line) in enumerate(answers):
            verdict = made.receive(str(number), response(status, line))
        assert verdict.forward is not None
        return verdict.forward

    def test_challenges_are_collected(self) -> None:
        """
        The challenges of all branches with the chosen status go back together.
        """
        told = self.challenges((401, "WWW-Authenticate: a"), (401, "WWW-Authenticate: b"))
        self.assertEqual(told.headers.lines("www-authenticate"), ["a", "b"])

    def test_other_challenges(self) -> None:
        """
        Challenges of another status than the chosen one are left out.
        """
        told = self.challenges((407, "Proxy-Authenticate: a"), (401, "WWW-Authenticate: b"))
        self.assertEqual(len([h for h in told.headers if h[0].endswith("-authenticate")]), 1)

    def test_endless_challenges(self) -> None:
        """
        A branch cannot make the collected challenges endless.
        """
        lines = "\r\n".join(f"WWW-Authenticate: {n}" for n in range(50))
        told = self.challenges((401, lines), (401, "WWW-Authenticate: b"))
        self.assertEqual(len(told.headers.lines("www-authenticate")), 9)

    def test_replaced_branch(self) -> None:
        """
        A target that goes on at another server still counts as one.
        """
        made = self.begun("a", "b")
        made.replace("a", "c")
        self.assertEqual(set(made.pending), {"b", "c"})
        self.told(made, "b", 486)
        self.assertEqual(self.told(made, "c", 302), 302)

    def test_silent_branch(self) -> None:
        """
        A branch left behind holds up nothing, and is given up with the others.
        """
        made = self.begun("a")
        made.leave("a", "b")
        verdict = made.receive("b", response(486))
        self.assertEqual((self.status_of(verdict), verdict.cancel), (486, ("a",)))

    def test_silent_branch_answers(self) -> None:
        """
        A branch left behind may answer after all; the other is cancelled.
        """
        made = self.begun("a")
        made.leave("a", "b")
        verdict = made.receive("a", response(200))
        self.assertEqual((self.status_of(verdict), verdict.cancel), (200, ("b",)))

    def test_silent_branch_while_another_rings(self) -> None:
        """
        The answer of one target gives up those left behind as well; so does CANCEL.
        """
        made = self.begun("a", "c")
        made.leave("a", "b")
        self.assertEqual(set(made.receive("c", response(200)).cancel), {"a", "b"})
        made = self.begun("a")
        made.leave("a", "b")
        self.assertEqual(set(made.cancel()), {"a", "b"})

    def status_of(self, verdict: Verdict) -> int:
        return verdict.forward.status if verdict.forward else 0


class BreadthTests(SynchronousTestCase):
    """
    Max-Breadth (RFC 5393 section 5.3.3).
    """

    def shares(self, *qs: float, lines: tuple[str, ...] = ()) -> list[int]:
        targets = tuple(Target(f"sip:{number}@phone", q=q) for number, q in enumerate(qs))
        return [target.breadth for target in spread(targets, request(*lines).headers)]

    def test_absent(self) -> None:
        """
        Without the header there are 60 to divide.
        """
        self.assertEqual(self.shares(1.0), [60])
        self.assertEqual(self.shares(1.0, 1.0, 1.0), [20, 20, 20])

    def test_divided(self) -> None:
        """
        What rings together shares it, to the last one; who rings later has all of it.
        """
        lines = ("Max-Breadth: 8",)
        self.assertEqual(self.shares(1.0, 1.0, 1.0, lines=lines), [3, 3, 2])
        self.assertEqual(self.shares(1.0, 1.0, 0.5, lines=lines), [4, 4, 8])

    def test_too_little(self) -> None:
        """
        More phones than may be tried at once: 440.
        """
        for count, breadth in ((3, 2), (1, 0)):
            lines = (f"Max-Breadth: {breadth}",)
            error = self.assertRaises(SIPError, self.shares, *([1.0] * count), lines=lines)
            self.assertEqual(error.status, 440)

    def test_malformed(self) -> None:
        """
        No number: 400.
        """
        error = self.assertRaises(MalformedHeader, self.shares, 1.0, lines=("Max-Breadth: x",))
        self.assertEqual(error.status, 400)


class UpstreamTests(SynchronousTestCase):
    def test_overloaded(self) -> None:
        """
        503 of a server becomes 500: we are not overloaded; all else stays.
        """
        self.assertEqual(as_upstream(response(503)).status, 500)
        for status in (180, 200, 486, 500, 603):
            self.assertEqual(as_upstream(response(status)).status, status)
