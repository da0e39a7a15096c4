"""How far each kind of source may be off: one sigma as a share of its energy. The table is here to be edited.

A site that has measured its own meters lays its figures over these: a JSON object, ``{"rapl-package-amd": 0.06}``, in
the file that ``LOWTIDE_METER_ERRORS`` names, else in ``meter_errors.json`` in the folder of the settings.
"""

from __future__ import annotations

import os

from lowtide_sampler.folders import config_folder
from lowtide_sampler.standins import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

JUDGEMENT = "[judgement]"
_FILE = "meter_errors.json"
_LARGEST_FILE_LETTERS = 65536


class Accuracy(NamedTuple):
    """One sigma of a source's error as a share of its energy, and who says so."""

    error_share: float
    citation: str


TABLE: dict[str, Accuracy] = {
    "rapl-package-intel": Accuracy(
        0.05, f"Haswell and later measure at the regulator; 5 % {JUDGEMENT}; Khan et al. 2018, TOMPECS 3(2):9"
    ),
    "rapl-package-intel-old": Accuracy(0.10, f"before Haswell a model of activity counters; 10 % {JUDGEMENT}"),
    "rapl-package-amd": Accuracy(
        0.10, f"a model that does not see the data; Schöne et al. 2021, arXiv 2108.00808; 10 % {JUDGEMENT}"
    ),
    "rapl-dram": Accuracy(
        0.15, "+8..+17 % busy, +35 % idle on Haswell-EP: github.com/deater/rapl_validation, recomputed"
    ),
    "rapl-psys": Accuracy(0.05, f"what it spans is the board maker's choice; 5 % {JUDGEMENT}"),
    "virtual-powercap": Accuracy(
        0.20, f"the host's counter shared out by CPU time, without the idle part; {JUDGEMENT}"
    ),
    "amd-energy": Accuracy(0.10, "the same registers as rapl-package-amd"),
    "grace-cpu": Accuracy(0.05, f"NVIDIA Grace Performance Tuning Guide, power telemetry; 5 % {JUDGEMENT}"),
    "ina-cpu": Accuracy(
        0.05, f"INA219/226/3221: gain error <= 1 %, shunt 1-5 %, and what lies between samples; {JUDGEMENT}"
    ),
    "acpi-power-meter": Accuracy(0.05, f"the ACPI table states each meter's own figure (power1_accuracy); {JUDGEMENT}"),
    "ipmi-dcmi": Accuracy(0.05, f"whole watts, averaged by the controller over its own period; {JUDGEMENT}"),
    "nvml-counter": Accuracy(
        0.05, "NVML API reference: +/- 5 % of the power reading; Yang et al. 2024, arXiv 2312.02741"
    ),
    "nvml-power": Accuracy(0.10, f"the sensor's 5 %, and as much for what happens between two samples; {JUDGEMENT}"),
    "amdsmi-power": Accuracy(0.10, f"as nvml-power, and no better by the accumulator where that agrees; {JUDGEMENT}"),
}
"""By kind of source. What models may be off is a band in ``lowtide_sampler.model``, not a sigma."""

ERRORS: Mapping[str, float] = {name: entry.error_share for name, entry in TABLE.items()}


def read_errors(environ: Mapping[str, str]) -> tuple[Mapping[str, float], str]:
    """(one sigma by kind of source, what is wrong with the person's own table or "").

    A table with a fault is left aside whole: half of somebody's figures would be nobody's.
    """
    path = environ.get("LOWTIDE_METER_ERRORS") or os.path.join(config_folder(environ), _FILE)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE_LETTERS)
    except OSError as error:
        return ERRORS, f"{path} cannot be read: {error.strerror}" if environ.get("LOWTIDE_METER_ERRORS") else ""
    except ValueError:
        return ERRORS, f"{path} is not text; its figures are left aside"
    return _overlaid(text, path)


def _overlaid(text: str, path: str) -> tuple[Mapping[str, float], str]:
    import json

    try:
        own = json.loads(text)
    except ValueError as error:
        return ERRORS, f"{path} is not JSON ({error}); its figures are left aside"
    if not isinstance(own, dict):
        return ERRORS, f"{path} holds no JSON object; its figures are left aside"
    for name, value in own.items():
        if name not in TABLE:
            return ERRORS, f"{path}: {name!r} is no kind of source; known are {', '.join(TABLE)}"
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            return ERRORS, f"{path}: {name} is {value!r}, and must be a share from 0 to 1"
    return {**ERRORS, **own}, ""
