"""The choice of device, precision and threads."""

import pytest
import torch

from training.config.config import ConvArchitecture, MlpArchitecture
from training.run import hardware


def test_the_precision_asked_for_is_taken() -> None:
    assert hardware.choose("cpu", "fp32", ConvArchitecture()).precision == "fp32"
    assert hardware.choose("cpu", "bf16", MlpArchitecture()).precision == "bf16"


@pytest.mark.parametrize("native", [True, False])
def test_left_to_itself_it_takes_bf16_for_convolutions_on_processors_that_have_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert hardware.choose("cpu", "auto", ConvArchitecture()).precision == ("bf16" if native else "fp32")
    assert hardware.choose("cpu", "auto", MlpArchitecture()).precision == "fp32"


def test_the_threads_asked_for_are_taken_and_shown() -> None:
    before = torch.get_num_threads()
    try:
        chosen = hardware.choose("cpu", "bf16", ConvArchitecture(), threads=2)
        assert torch.get_num_threads() == 2
        assert str(chosen) == "CPU, 2 threads, bf16, channels last"
    finally:
        torch.set_num_threads(before)
