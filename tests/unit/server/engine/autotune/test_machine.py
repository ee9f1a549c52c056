"""Rates are remembered for the machine they were measured on."""

from server.engine.autotune.cache import gpus


def test_gpus_are_known_by_their_models_and_not_by_their_serial_numbers(tmp_path):
    for bus, model in (("0000:81:00.0", "NVIDIA L4"), ("0000:01:00.0", "NVIDIA A10")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t 17\nGPU UUID: \t GPU-1-2\n")
    assert gpus(tmp_path) == ["NVIDIA A10", "NVIDIA L4"]


def test_a_machine_without_nvidias_driver_has_none(tmp_path):
    assert gpus(tmp_path / "nowhere") == []
