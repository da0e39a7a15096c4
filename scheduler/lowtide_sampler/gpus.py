"""Every GPU that the job may use, whosever make; of a maker whose driver the node lacks, nothing is imported."""

from __future__ import annotations

import os

from lowtide_sampler.accuracy import ERRORS
from lowtide_sampler.meters import Discovery, Finding
from lowtide_sampler.nvml_driver import start
from lowtide_sampler.standins import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMD_DRIVER = "/dev/kfd"
_NVIDIA_DEVICE = "/dev/nvidia0"


def discover(environ: Mapping[str, str], errors: Mapping[str, float] = ERRORS) -> Discovery:
    """Meters of the GPUs that the job may use.

    Args:
        environ: Its variables choose the devices (``gpu_choice``).
        errors: One sigma by kind of source.
    Returns:
        ``missing_share`` is more than 0 where a device is there and gives no reading.
    """
    found = [_nvidia(environ, errors), _amd(environ, errors)]
    return Discovery(
        tuple(meter for one in found for meter in one.meters),
        tuple(finding for one in found for finding in one.findings),
        max(one.missing_share for one in found),
    )


def _nvidia(environ: Mapping[str, str], errors: Mapping[str, float]) -> Discovery:
    driver, finding = start()
    if driver is None:
        return Discovery((), (finding,), 1.0 if os.path.exists(_NVIDIA_DEVICE) else 0.0)
    from lowtide_sampler import nvml

    found = nvml.discover(driver, environ, errors=errors)
    return found._replace(findings=(finding, *found.findings))


def _amd(environ: Mapping[str, str], errors: Mapping[str, float]) -> Discovery:
    if not os.path.exists(_AMD_DRIVER):
        return Discovery((), (Finding("amdsmi", False, "no AMD driver for compute on this node"),), 0.0)
    from lowtide_sampler import amdsmi

    library, finding = amdsmi.load_library()
    if library is None:
        return Discovery((), (finding,), 1.0)
    found = amdsmi.discover(library, environ, errors=errors)
    return found._replace(findings=(finding, *found.findings))
