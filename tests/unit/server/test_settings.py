"""Settings come from flags and variables, and all mistakes are told at once."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from server.settings import BadSettings, Settings, cores, read


def test_defaults_need_nothing():
    settings = read([], {})
    assert settings == Settings()
    assert (settings.port, settings.metrics_port, settings.device) == (50051, 9464, "cpu")


def test_a_flag_beats_its_variable_and_a_variable_the_default():
    environment = {"VAESERVE_PORT": "1000", "VAESERVE_METRICS_PORT": "2000"}
    settings = read(["--port", "3000"], environment)
    assert (settings.port, settings.metrics_port) == (3000, 2000)


def test_all_mistakes_are_told_at_once_with_their_source_and_what_is_allowed():
    with pytest.raises(BadSettings) as refusal:
        read(["--port", "70000", "--device", "tpu"], {"VAESERVE_MAX_SECONDS": "soon", "VAESERVE_PROT": "1"})
    assert str(refusal.value).splitlines() == [
        "--port must be 0..65535, got '70000'",
        "--device must be one of cpu, cuda, auto, got 'tpu'",
        "VAESERVE_MAX_SECONDS must be a number 0.01..3600, got 'soon'",
        "VAESERVE_PROT is no setting",
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-1", ""])
def test_numbers_must_be_numbers_in_bounds(text):
    with pytest.raises(BadSettings, match="--max-seconds"):
        read([f"--max-seconds={text}"], {})


def test_a_request_that_could_never_be_queued_is_a_mistake():
    with pytest.raises(BadSettings, match="could never be accepted"):
        read(["--max-request-rows", "100", "--max-queue-rows", "50"], {})


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        read([], {}).port = 1  # type: ignore[misc]


def test_variables_of_the_client_are_left_alone():
    assert read([], {"VAESERVE_TARGET": "x", "VAESERVE_DATA": "y", "PATH": "z"}) == Settings()


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_a_containers_cpu_quota_bounds_the_cores(tmp_path, quota, expected):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    everything = cores(cgroup=tmp_path / "absent")
    assert everything >= 1
    assert cores(cgroup=tmp_path) == (expected or everything)


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("50000", 1)])
def test_so_does_a_quota_of_the_first_control_groups(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cores(cgroup=tmp_path) == (expected or cores(cgroup=tmp_path / "absent"))


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HOME": "/users/me"}, "/users/me/.cache/vaeserve/calibration"),
        ({"HOME": "/users/me", "XDG_CACHE_HOME": "/caches"}, "/caches/vaeserve/calibration"),
        ({"HOME": "/users/me", "XDG_CACHE_HOME": "caches"}, "/users/me/.cache/vaeserve/calibration"),
        ({"HOME": "/users/me", "VAESERVE_CALIBRATION_CACHE": "/var/cache/vaeserve"}, "/var/cache/vaeserve"),
        ({"HOME": "/users/me", "VAESERVE_CALIBRATION_CACHE": "off"}, None),
        ({}, None),
    ],
)
def test_measured_rates_are_kept_among_the_users_caches_unless_told_otherwise(environment, folder):
    assert read([], environment).calibration_folder == (folder and Path(folder))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--web-port", "many"], "--web-port must be a number 0..65535, or off, got 'many'"),
        (["--web-port", "0", "--workers", "2"], "--web-port 0 must be a port of your choice where --workers share it"),
        (["--web-origins", "app.example"], "--web-origins must be * or like https://name:port, several with commas"),
    ],
)
def test_what_browsers_may_is_checked(flags, says):
    with pytest.raises(BadSettings) as refusal:
        read(flags, {})
    assert says in str(refusal.value)


def test_origins_and_the_port_of_pages_are_read():
    settings = read(["--web-port", "8080", "--web-origins", "https://a.example,http://b.lan:1"], {})
    assert (settings.web_port, settings.origins) == (8080, ("https://a.example", "http://b.lan:1"))
    assert (read([], {}).web_port, read([], {}).origins) == ("off", ())


EVERYWHERE = "0.0.0.0"  # noqa: S104
TLS = ["--tls-certificate", "c", "--tls-key", "k"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tls-certificate", "c"], "--tls-certificate and --tls-key come together"),
        (["--tls-key", "k"], "--tls-certificate and --tls-key come together"),
        ([*TLS, "--web-port", "0"], "--web-port has no TLS"),
        (["--tls-client-ca", "a"], "--tls-client-ca needs --tls-certificate"),
        (["--profile", "production", "--host", EVERYWHERE], "can be reached from other machines and nothing encrypts"),
        (["--profile", "production", "--host", "example.com"], "--plaintext allow if something in front does it"),
        (["--plaintext", "refuse", "--host", "::"], "nothing encrypts"),
    ],
)
def test_connections_that_would_not_be_protected_as_meant_are_a_mistake(arguments, problem):
    with pytest.raises(BadSettings, match=problem):
        read(arguments, {})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--profile", "production"],
        ["--profile", "production", "--host", "127.8.8.8"],
        ["--profile", "production", "--host", "::1"],
        ["--profile", "production", "--host", EVERYWHERE, "--plaintext", "allow"],
        ["--profile", "production", "--host", EVERYWHERE, *TLS],
        ["--host", EVERYWHERE],
    ],
)
def test_what_nobody_else_can_reach_or_is_encrypted_or_asked_for_may_be(arguments):
    read(arguments, {})


def test_reflection_is_off_in_production_unless_asked_for():
    assert read([], {}).reflects
    assert not read(["--profile", "production"], {}).reflects
    assert read(["--profile", "production", "--reflection", "on"], {}).reflects
    assert not read(["--reflection", "off"], {}).reflects
