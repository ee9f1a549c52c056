"""Settings come from flags and variables, and all mistakes are reported together."""

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


def test_all_mistakes_are_reported_together_with_their_source_and_what_is_allowed():
    with pytest.raises(BadSettings) as refusal:
        read(["--port", "70000", "--device", "tpu"], {"VAESERVE_MAX_SECONDS": "soon", "VAESERVE_PROT": "1"})
    assert str(refusal.value).splitlines() == [
        "--port must be 0..65535, got '70000'",
        "--device must be one of cpu, cuda, auto, got 'tpu'",
        "VAESERVE_MAX_SECONDS must be a number 0.01..3600, got 'soon'",
        "VAESERVE_PROT is not a setting",
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
def test_a_quota_of_control_groups_version_1_bounds_the_cores(tmp_path, quota, expected):
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
def test_measured_rates_are_kept_in_the_users_cache_folder_unless_a_setting_names_another(environment, folder):
    assert read([], environment).calibration_folder == (folder and Path(folder))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--web-port", "many"], "--web-port must be a number 0..65535, or off, got 'many'"),
        (["--web-port", "0", "--workers", "2"], "--web-port must be a fixed port with --workers above 1"),
        (["--web-origins", "app.example"], "--web-origins must be * or origins like https://name:port"),
    ],
)
def test_settings_for_browsers_are_checked(flags, says):
    with pytest.raises(BadSettings) as refusal:
        read(flags, {})
    assert says in str(refusal.value)


def test_origins_and_the_port_for_pages_are_read():
    settings = read(["--web-port", "8080", "--web-origins", "https://a.example,http://b.lan:1"], {})
    assert (settings.web_port, settings.origins) == (8080, ("https://a.example", "http://b.lan:1"))
    assert (read([], {}).web_port, read([], {}).origins) == ("off", ())


EVERYWHERE = "0.0.0.0"  # noqa: S104
TLS = ["--tls-certificate", "c", "--tls-key", "k"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tls-certificate", "c"], "--tls-certificate and --tls-key must be given together"),
        (["--tls-key", "k"], "--tls-certificate and --tls-key must be given together"),
        ([*TLS, "--web-port", "0"], "--web-port has no TLS"),
        (["--tls-client-ca", "a"], "--tls-client-ca needs --tls-certificate"),
        (["--profile", "production", "--host", EVERYWHERE], "can be reached from other machines without encryption"),
        (["--profile", "production", "--host", "example.com"], "--plaintext allow if a proxy in front encrypts"),
        (["--plaintext", "refuse", "--host", "::"], "without encryption"),
    ],
)
def test_incomplete_or_missing_protection_of_connections_is_a_mistake(arguments, problem):
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
def test_loopback_tls_and_allowed_plaintext_are_accepted(arguments):
    read(arguments, {})


def test_reflection_is_off_in_production_unless_asked_for():
    assert read([], {}).reflects
    assert not read(["--profile", "production"], {}).reflects
    assert read(["--profile", "production", "--reflection", "on"], {}).reflects
    assert not read(["--reflection", "off"], {}).reflects
