"""Which devices the variables of schedulers, containers and people name."""

from __future__ import annotations

import pytest

from lowtide_sampler.gpu_choice import Choice, chosen_amd, chosen_nvidia, is_exclusive, pick

UUIDS = ["GPU-0abc", "GPU-1abc", "GPU-1abd", "GPU-2abc"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "2, 0"}, ("2", "0")),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_GPUS": "5"}, ("1",)),
        ({"SLURM_STEP_GPUS": "4", "SLURM_JOB_GPUS": "4,5"}, ("4",)),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, None),
        ({"NVIDIA_VISIBLE_DEVICES": ""}, None),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, ()),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, ()),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-1abc"}, ("GPU-1abc",)),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-1abc", "CUDA_VISIBLE_DEVICES": "0"}, ("0",)),
    ],
)
def test_the_first_variable_that_is_set_chooses(environ: dict[str, str], words: tuple[str, ...] | None) -> None:
    assert chosen_nvidia(environ).words == words


@pytest.mark.parametrize(
    ("listed", "picked"),
    [
        ("2,0", [2, 0]),
        ("0,7,1", [0]),
        ("-1", []),
        ("-1,0", []),
        ("NoDevFiles", []),
        ("GPU-0", [0]),
        ("GPU-1", []),
        ("GPU-1abd,3", [2, 3]),
        ("1,1,2", [1]),
        ("0,,1", [0]),
    ],
)
def test_a_list_ends_at_its_first_wrong_word(listed: str, picked: list[int]) -> None:
    words = chosen_nvidia({"CUDA_VISIBLE_DEVICES": listed}).words
    assert words is not None
    assert pick(words, len(UUIDS), lambda: UUIDS) == picked


def test_hip_chooses_among_what_the_runtime_shows() -> None:
    assert chosen_amd({"ROCR_VISIBLE_DEVICES": "2,3", "HIP_VISIBLE_DEVICES": "1"}) == (
        Choice(("2", "3"), "ROCR_VISIBLE_DEVICES"),
        Choice(("1",), "HIP_VISIBLE_DEVICES"),
    )
    assert chosen_amd({"CUDA_VISIBLE_DEVICES": "0"})[1].words == ("0",)
    assert chosen_amd({}) == (Choice(None), Choice(None))


@pytest.mark.parametrize(
    ("environ", "alone"),
    [
        ({}, False),
        ({"CUDA_VISIBLE_DEVICES": "0"}, False),
        ({"SLURM_JOB_GPUS": "0"}, True),
        ({"SLURM_STEP_GPUS": "0", "CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"SLURM_JOB_GPUS": "0", "SLURM_SHARDS_ON_NODE": "4"}, False),
        ({"SLURM_JOB_GPUS": "0", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50"}, False),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0"}, False),
        ({"PBS_JOBID": "1", "CUDA_VISIBLE_DEVICES": "GPU-0abc"}, True),
        ({"PBS_JOBID": "1", "CUDA_VISIBLE_DEVICES": ""}, False),
        ({"LSB_JOBID": "1", "ROCR_VISIBLE_DEVICES": "0"}, True),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-0abc", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
    ],
)
def test_only_a_scheduler_keeps_others_off_a_device(environ: dict[str, str], alone: bool) -> None:
    assert is_exclusive(environ) is alone
