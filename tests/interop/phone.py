"""
A telephone: baresip, typed at on its standard input, with a tone for a voice.
"""

from __future__ import annotations

import re

from tests.interop.bed import Bed
from tests.interop.provider import password
from tests.interop.tone import read_samples, seconds_of, write_tone
from tests.interop.waiting import TooLate, wait_until

_CONFIG = """\
poll_method epoll
net_interface {address}
sip_listen {address}:{port}
call_local_timeout 60
call_max_calls 8
audio_source aufile,{directory}/voice.wav
audio_player none
audio_alert none
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
snd_path {directory}
rtp_ports {rtp_low}-{rtp_high}
jitter_buffer_delay 1-5
ringback_disabled yes
statmode_default off
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module sndfile.so
module_app account.so
module_app menu.so
"""

_MODULES = {"srtp-mand": "srtp", "dtls_srtp": "dtls_srtp", "ice": "ice"}

_REGISTERED = r"{aor}: \{{\d+/UDP/v4\}} 200 "


class Account:
    """
    A line of a phone's ``accounts`` file.

    :ivar secret: the password; the provider's own for the user unless told.
    :ivar register: seconds between registrations; 0 never registers.
    :ivar modules: the modules of baresip that its calls need.

    :param encryption: ``srtp-mand`` or ``dtls_srtp``; ``nat``: ``ice``.
    """

    def __init__(
        self,
        user: str,
        domain: str = "example.net",
        outbound: str = "",
        answer: str = "auto",
        secret: str = "",
        register: int = 120,
        encryption: str = "",
        nat: str = "",
    ) -> None:
        self.user = user
        self.aor = f"{user}@{domain}"
        self.register = register
        parts = [f"<sip:{self.aor};transport=udp>"]
        parts.append(f"auth_pass={secret or password(user, domain)}")
        if outbound:
            parts.append(f'outbound="sip:{outbound};transport=udp"')
        parts += [f"regint={register}", f"answermode={answer}", "audio_codecs=PCMU/8000/1"]
        parts += [f"mediaenc={encryption}"] if encryption else []
        parts += [f"medianat={nat}"] if nat else []
        self.line = ";".join(parts)
        self.modules = {_MODULES[word] for word in (encryption, nat) if word}


class Phone:
    """
    One baresip.

    :ivar tone: the frequency it speaks, in hertz.
    """

    def __init__(
        self,
        bed: Bed,
        address: str,
        tone: int,
        *accounts: Account,
        port: int = 5060,
    ) -> None:
        self.address = address
        self.tone = tone
        self.accounts = accounts
        self.directory = bed.new_directory(accounts[0].user)
        write_tone(self.directory / "voice.wav", tone)
        self._configure(port)
        words = ["baresip", "-4", "-s", "-f", str(self.directory)]
        self.program = bed.start(address, self.directory.name, *words)
        self.program.wait_for("baresip is ready")

    def wait_registered(self, seconds: float = 10) -> None:
        """
        Wait until the registrar accepted every account.
        """
        for account in self.accounts:
            if account.register:
                self.program.wait_for(_REGISTERED.format(aor=re.escape(account.aor)), seconds)

    def dial(self, uri: str) -> None:
        """
        Call someone.
        """
        self.program.say(f"/dial {uri}")

    def hang_up(self) -> None:
        """
        End the call, cancel it while it rings there, decline it (486) while it rings here.
        """
        self.program.say("/hangup")

    def accept(self) -> None:
        """
        Pick up.
        """
        self.program.say("/accept")

    def hold(self) -> None:
        """
        Put the call on hold.
        """
        self.program.say("/hold")

    def resume(self) -> None:
        """
        Take the call from hold.
        """
        self.program.say("/resume")

    def wait_ringing(self, since: int = 0) -> None:
        """
        Wait for an incoming call.
        """
        self.program.wait_for("Incoming call from", since=since)

    def wait_established(self, since: int = 0) -> None:
        """
        Wait until a call was answered.
        """
        self.program.wait_for("Call established", since=since)

    def wait_over(self, since: int = 0) -> None:
        """
        Wait until a call has ended or failed.
        """
        self.program.wait_for(r"(terminated \(duration|session closed)", since=since)

    def hears(self, tone: int) -> float:
        """
        How many seconds of a tone it has heard in all its calls.
        """
        dumps = self.directory.glob("dump-*-dec.wav")
        return sum(seconds_of(read_samples(dump), tone) for dump in dumps)

    def wait_hears(self, other: Phone, seconds: float = 1.0, since: float | None = None) -> None:
        """
        Wait until it has heard that many more seconds of the other phone's voice.

        :param since: how many it had heard, if not as many as now.
        """
        start = self.hears(other.tone) if since is None else since
        try:
            wait_until(lambda: self.hears(other.tone) >= start + seconds, "a tone", 10 + seconds)
        except TooLate:
            heard = self.hears(other.tone) - start
            message = f"{self.directory.name} heard {heard:.1f} s of {other.directory.name}"
            raise TooLate(f"{message}; its log ends:\n{self.program.log()[-4000:]}") from None

    def received(self, start: str) -> list[str]:
        """
        The SIP messages that it received whose first line starts so, oldest first.
        """
        return [text for sent, text in self._messages() if not sent and text.startswith(start)]

    def sent(self, start: str) -> list[str]:
        """
        The SIP messages that it sent whose first line starts so, oldest first.
        """
        return [text for sent, text in self._messages() if sent and text.startswith(start)]

    def cut_power(self) -> None:
        """
        It is gone without a word.
        """
        self.program.kill()

    def stop(self) -> None:
        """
        Switch it off; it unregisters when it can.
        """
        if self.program.running:
            self.program.say("/quit")
            self.program.wait(3)
        self.program.stop()

    def _messages(self) -> list[tuple[bool, str]]:
        trace = re.findall(
            r"\x1b\[36;1m#\nUDP (\S+) -> \S+\n(.*?)\x1b\[;m", self.program.log(), re.DOTALL
        )
        return [(source.split(":")[0] == self.address, text) for source, text in trace]

    def _configure(self, port: int) -> None:
        rtp_low = 20000 + 100 * int(self.address.rsplit(".", 1)[1])
        text = _CONFIG.format(
            address=self.address,
            port=port,
            directory=self.directory,
            rtp_low=rtp_low,
            rtp_high=rtp_low + 98,
        )
        modules = sorted({name for account in self.accounts for name in account.modules})
        text += "".join(f"module {name}.so\n" for name in modules)
        (self.directory / "config").write_text(text)
        lines = "".join(f"{account.line}\n" for account in self.accounts)
        (self.directory / "accounts").write_text(lines)
