"""Slurm's own commands: how they are called, and what their complaints mean.

Text only: the shape of their JSON differs from version to version. Every call has ``TZ=UTC``, because the commands read
and print times in the zone of whoever calls them, without naming it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowtide_core.errors import InputError, LowtideError, Rejected, Unavailable
from lowtide_providers.signals.keys import KEY_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIMEOUT_S = 60.0
_NO_ANSWER = "Is slurmctld up (scontrol ping), and SLURM_CONF the right one? It will be asked again."

Kind = type[Unavailable] | type[Rejected] | type[InputError]

COMPLAINTS: tuple[tuple[str, Kind, str], ...] = (
    # what a command says (a pattern), what that is, what to do
    (r"[Uu]nable to contact slurm (controller|database)|connect failure", Unavailable, _NO_ANSWER),
    (r"[Ss]ocket timed out|Connection (timed out|refused|reset)|Zero Bytes", Unavailable, _NO_ANSWER),
    (r"Unexpected m(essage received|issing socket)|slurm_msg_sendto|[Cc]ommunication", Unavailable, _NO_ANSWER),
    (r"temporarily unable to accept job|[Tt]ransport endpoint|Resource temporarily", Unavailable, _NO_ANSWER),
    (r"Unable to process configuration|cannot stat file|DNS SRV|ClusterName needs", Unavailable, _NO_ANSWER),
    (r"[Mm]unge|[Aa]uthentication|credential", Rejected, "Is munged running here, with the cluster's key?"),
    (r"[Ii]nvalid partition|partition specified", InputError, "sinfo -s lists the partitions."),
    (r"[Ii]nvalid account|account/partition", InputError, "sacctmgr show associations user=$USER lists yours."),
    (r"[Ii]nvalid qos", InputError, "sacctmgr show qos lists them."),
    (r"[Ii]nvalid feature", InputError, "sinfo -o '%n %f' lists the nodes' features."),
    (r"[Rr]eservation is invalid", InputError, "scontrol show reservation lists them."),
    (r"generic resource|gres", InputError, "sinfo -o '%n %G' lists the nodes' accelerators."),
    (r"[Mm]emory specification|node configuration is not available", InputError, "No node has that much."),
    (r"[Ii]nvalid (node name|.*specification|.*time|.*argument|job array)", InputError, "Mend that option."),
    (r"(time limit|[Nn]ode count|[Jj]ob) .*(exceed|violat)|[Ll]imit", InputError, "Ask for less, or elsewhere."),
    (r"unrecognized option|unknown option|invalid option", InputError, "This Slurm has no such option."),
    (r"denied|[Pp]ermission|not authorized|[Pp]rivilege", Rejected, "It needs more rights than you have in Slurm."),
)
"""One table for every command; the first line that matches counts."""


class NotPossible(LowtideError):
    """Slurm refuses because of the job's state: it is gone, has ended, or is not held. Never leaves the engine."""


_STATE_SAYS = re.compile(
    r"[Ii]nvalid job id|already complet|no longer (pending|running)|not (pending|running|suspended)|is pending"
    r"|presently disabled|Job has (finished|already)|is already|Requested operation not supported"
)


@dataclass(frozen=True, slots=True)
class SlurmCommands:
    """Calls them, on this machine.

    Attributes:
        environ: The environment of the calls; None is this process's own.
    """

    environ: Mapping[str, str] | None = None
    timeout_s: float = _TIMEOUT_S

    def ask(self, *argv: str) -> str:
        """What the command prints.

        Raises:
            NotPossible: The job is not in a state for that.
            Unavailable, Rejected, InputError: See ``COMPLAINTS``.
        """
        return self._run(argv, {**self.base(), "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"})

    def sbatch(self, *argv: str) -> str:
        """As ``ask``, with the environment that the job is to find: the caller's zone of time is its own."""
        return self._run(("sbatch", *argv), self.base())

    def require(self, command: str) -> None:
        """Looks whether Slurm is here at all.

        Raises:
            Rejected: It is not.
        """
        if shutil.which(command, path=self.base().get("PATH")) is None:
            raise _not_here(command)

    def base(self) -> dict[str, str]:
        """The environment without lowtide's own settings and without the keys of its sources."""
        environ = os.environ if self.environ is None else self.environ
        keys = {name for key in KEY_NAMES for name in key.environ}
        return {name: value for name, value in environ.items() if not name.startswith("LOWTIDE_") and name not in keys}

    def _run(self, argv: Sequence[str], environment: Mapping[str, str]) -> str:
        command = argv[0]
        try:
            ran = subprocess.run(
                list(argv),
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise _not_here(command) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"Slurm's {command} has not answered within {self.timeout_s:g} s.",
                provider="slurm",
                operation=command,
                hint=_NO_ANSWER,
            ) from error
        except OSError as error:
            raise Unavailable(
                f"Slurm's {command} cannot be started: {error.strerror}.", provider="slurm", operation=command
            ) from error
        complaint = ran.stderr.strip()
        # scancel and scontrol may complain and return 0 all the same
        if ran.returncode == 0 and not re.search(COMPLAINTS[0][0], complaint):
            return ran.stdout
        raise complaint_of(command, complaint or ran.stdout.strip())


def _not_here(command: str) -> Rejected:
    return Rejected(
        f"There is no command {command!r} here.",
        provider="slurm",
        operation=command,
        hint="Run lowtide where Slurm's commands are (a login node), with them on PATH.",
    )


def complaint_of(command: str, said: str) -> LowtideError:
    """What a command's complaint is, as an error of ours."""
    if _STATE_SAYS.search(said):
        return NotPossible(said)
    lines = [re.sub(r"^\w+: (error|fatal): ", "", line) for line in said.splitlines() if line.strip()]
    told = f"Slurm's {command} refused: {'; '.join(dict.fromkeys(lines)) or 'without a word'}."
    for pattern, kind, hint in COMPLAINTS:
        if re.search(pattern, said):
            if issubclass(kind, InputError):
                return InputError(told, hint=hint, command=command)
            if issubclass(kind, Unavailable):
                told = f"Slurm does not answer: {lines[0]}."
            return kind(told, provider="slurm", operation=command, hint=hint)
    return Rejected(told, provider="slurm", operation=command)
