"""The commands, against a real gRPC server in this process: files, reports and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import click.testing
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from PIL import Image
from support.fake_service import SEED, Failure, FakeService

from vaeserve import cli
from vaeserve.cli import pages
from vaeserve.cli.health import probe

Result = click.testing.Result
Run = Callable[..., Result]


@pytest.fixture
def run(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("sample", "--seed", 5): the command in an empty folder, on the service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAESERVE_TARGET", target)
    return lambda *arguments: click.testing.CliRunner().invoke(cli.main, list(map(str, arguments)))


def items(rows: int) -> np.ndarray:
    return np.zeros((rows, 1, 2, 3), np.float32)


def test_sample_writes_a_picture_and_says_so(run: Run):
    result = run("sample", "--count", 9)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"9 rows of toy/3, seed {SEED}, ")
    assert result.stdout.endswith("-> samples.png\n")
    with Image.open("samples.png") as picture:
        assert picture.mode == "L"


def test_sample_reports_json_for_scripts(run: Run):
    report = json.loads(run("sample", "--seed", 5, "--json", "--out", "x.npz").stdout)
    assert {key: report[key] for key in ("out", "rows", "seed", "model")} == {
        "out": "x.npz",
        "rows": 64,
        "seed": 5,
        "model": {"name": "toy", "version": "3", "digest": "d1935"},
    }
    with np.load("x.npz") as arrays:
        assert set(arrays) == {"items", "latents"}


def test_a_stream_is_written_as_it_comes_and_reported_like_any_sample(run: Run, service: FakeService):
    result = run("sample", "--stream", "--count", 7, "--first-row", 2, "--out", "x.npy", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["rows"], report["seed"], report["first_row"], report["out"]) == (7, SEED, 2, "x.npy")
    written = np.load("x.npy")
    assert (written.dtype, written.shape) == (np.float32, (7, 1, 2, 3))
    np.testing.assert_array_equal(written[:, 0, 0, 0], SEED + 2 + np.arange(7))
    assert service.requests[1].model.version == "3"


def test_a_stream_goes_nowhere_but_into_an_npy(run: Run):
    result = run("sample", "--stream", "--out", "x.npz")
    assert (result.exit_code, result.stderr) == (2, "Error: --stream writes items to an .npy, got --out x.npz\n")


def test_a_stream_that_fails_leaves_no_file(run: Run, service: FakeService):
    service.breaks, service.failures = [2], [Failure(grpc.StatusCode.INTERNAL, "broken")]
    result = run("sample", "--stream", "--out", "x.npy")
    assert (result.exit_code, result.stderr) == (1, "Error: broken\n")
    assert list(Path().iterdir()) == []


def test_score_shows_each_row_and_the_mean(run: Run):
    np.save("in.npy", items(3))
    result = run("score", "in.npy", "-k", 8)
    assert result.exit_code == 0, result.output
    heads, first, *_, mean, summary = result.stdout.splitlines()
    assert heads.split() == ["input", "log", "p(x)", "ELBO", "percentile", "effective", "samples"]
    assert first.split() == ["in.npy[0]", "1.0", "2.0", "3.0", "4.0"]
    assert mean == "mean log p(x) 2.00 ± 0.58 (standard error) nats, 8 samples a row"
    assert summary.endswith("-> scores.npz")
    with np.load("scores.npz") as arrays:
        np.testing.assert_array_equal(arrays["log_evidence"], [1, 2, 3])


def test_score_reports_json_for_scripts(run: Run, service: FakeService):
    np.save("in.npy", items(1))
    report = json.loads(run("score", "in.npy", "--json", "--seed", 6).stdout)
    assert (report["inputs"], report["log_evidence"], report["elbo"]) == (["in.npy"], [1.0], [2.0])
    assert (report["mean"], report["standard_error"], report["importance_samples"]) == (1.0, None, 64)
    assert (report["seed"], service.requests[-1].importance_samples) == (6, 64)


def test_scores_with_many_samples_are_asked_for_in_small_pages(run: Run, service: FakeService):
    np.save("in.npy", items(5))
    assert run("score", "in.npy", "-k", pages.PAGE_DECODES // 2).exit_code == 0
    assert [request.items.shape[0] for request in service.requests[1:]] == [2, 2, 1]
    assert [request.first_row for request in service.requests[1:]] == [0, 2, 4]


def test_many_rows_are_several_requests_that_equal_one(run: Run, service: FakeService):
    service.max_request_rows = 100
    assert run("sample", "--count", 250, "--first-row", 7, "--out", "x.npy").exit_code == 0
    counts = [(request.count, request.first_row) for request in service.requests[1:]]
    assert counts == [(100, 7), (100, 107), (50, 207)]
    np.testing.assert_array_equal(np.load("x.npy")[:, 0, 0, 0], SEED + 7 + np.arange(250))


def test_later_pages_use_the_seed_and_the_version_of_the_first(run: Run, service: FakeService):
    service.max_request_rows = 2
    run("sample", "--count", 5, "--out", "x.npy")
    first, *later = service.requests[1:]
    assert not first.HasField("seed")
    assert [request.seed for request in later] == [SEED, SEED]
    assert {request.model.version for request in service.requests[1:]} == {"3"}


def test_pages_are_bounded_in_bytes_too(run: Run, service: FakeService):
    service.item_shape = (1, 1024, 1024)
    assert run("sample", "--count", 5, "--out", "x.npy").exit_code == 0
    assert [request.count for request in service.requests[1:]] == [pages.PAGE_BYTES >> 22, 1]


def test_encode_writes_what_was_asked_for(run: Run):
    np.save("in.npy", items(3))
    result = run("encode", "in.npy", "--draws", 2, "--kl", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["embedding_space"] == "space"
    with np.load("latents.npz") as arrays:
        assert {name: arrays[name].shape for name in arrays} == {
            "mean": (3, 2),
            "log_var": (3, 2),
            "draws": (3, 2, 2),
            "kl": (3,),
            "embedding_space": (),
        }


def test_reconstruct_shows_each_row_with_its_scores(run: Run):
    Image.fromarray(np.zeros((2, 3), np.uint8)).save("seven.png")
    result = run("reconstruct", "seven.png")
    assert result.exit_code == 0, result.output
    heads, row, _summary = result.stdout.splitlines()
    assert heads.split() == ["input", "-log", "p(x|z)", "KL", "ELBO", "percentile"]
    assert row.split() == ["seven.png", "1.0", "2.0", "3.0", "4.0"]
    assert Path("reconstructions.png").exists()


def test_reconstruct_reports_the_scores_as_json(run: Run):
    np.save("in.npy", items(2))
    report = json.loads(run("reconstruct", "in.npy", "--json", "--out", "x.npz").stdout)
    assert report["inputs"] == ["in.npy[0]", "in.npy[1]"]
    assert report["elbo"] == [3.0, 4.0]


def test_what_encode_wrote_can_be_decoded(run: Run):
    np.save("in.npy", items(3))
    run("encode", "in.npy")
    result = run("decode", "latents.npz", "--out", "x.npy")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load("x.npy")[:, 0, 0, 0], [0, 1, 2])


def test_models_are_listed(run: Run):
    heads, failed, ready = run("models").stdout.splitlines()
    assert heads.split() == ["model", "version", "state", "default", "digest", "reason"]
    assert failed.split(maxsplit=3) == ["toy", "4", "failed", "decoder.onnx: wrong digest"]
    assert ready.split() == ["toy", "3", "ready", "yes", "d1935"]
    assert json.loads(run("models", "--json").stdout)[1]["model"]["name"] == "toy"


def test_a_model_is_described_in_full(run: Run):
    lines = run("models", "--details").stdout.splitlines()
    assert lines[0].split(maxsplit=1) == ["model", "toy/3, ready"]
    assert any(line.split() == ["metric", "elbo", "-90.5"] for line in lines)
    assert json.loads(run("models", "--details", "--json").stdout)["latent_size"] == 2


def test_health_is_a_word_and_an_exit_code(run: Run, service: FakeService):
    healthy = run("health")
    assert (healthy.stdout, healthy.exit_code) == ("SERVING\n", 0)
    service.health = health_pb2.HealthCheckResponse.NOT_SERVING
    ill = run("health")
    assert (ill.stdout, ill.exit_code) == ("NOT_SERVING\n", 1)


def test_the_probe_for_containers_exits_like_health(
    target: str, service: FakeService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VAESERVE_TARGET", target)
    with pytest.raises(SystemExit) as healthy:
        probe()
    service.failures.append(Failure(grpc.StatusCode.UNAVAILABLE, "draining"))
    with pytest.raises(SystemExit) as ill:
        probe()
    assert (healthy.value.code, ill.value.code) == (0, "vaeserve-health: draining")
    assert capsys.readouterr().out == "SERVING\n"


def test_no_server_is_one_line_and_exit_code_1(run: Run):
    result = run("sample", "--target", "unix:/nowhere.sock", "--timeout", 0.05)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_is_too_slow_names_the_timeout(run: Run, service: FakeService):
    service.holds_calls = True
    result = run("sample", "--timeout", 0.05)
    assert result.exit_code == 1
    assert "within 0.05 s" in result.stderr


def test_a_failing_server_is_exit_code_1(run: Run, service: FakeService):
    service.failures.append(Failure(grpc.StatusCode.INTERNAL, "internal error; id 12"))
    result = run("models")
    assert (result.exit_code, result.stderr) == (1, "Error: internal error; id 12\n")


def test_a_pinned_embedding_space_that_is_gone_is_exit_code_1_and_writes_nothing(run: Run):
    np.save("in.npy", items(1))
    result = run("encode", "in.npy", "--expect-embedding-space", "old")
    assert (result.exit_code, result.stderr) == (1, "Error: another space\n")
    assert not Path("latents.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--cuont", "3"], "No such option"),
        (["sample", "--count", "0"], "0 is not in the range"),
        (["sample", "--timeout", "0"], "0"),
        (["sample", "--model", "other"], "no model 'other'"),
        (["sample", "--out", "x.gif"], "--out must end in .png or .npy or .npz, got x.gif"),
        (["sample", "--out", "nowhere/x.png"], "there is no folder nowhere"),
        (["sample", "--count", "10001"], "a picture holds 10000 rows at most"),
        (["encode"], "Missing argument"),
        (["encode", "nowhere.png"], "does not exist"),
        (["encode", "large.png"], "--resize converts it"),
        (["encode", "large.png", "--out", "x.png"], "--out must end in .npz or .npy"),
        (["decode", "in.npy"], "the model wants [rows, 2]"),
    ],
)
def test_wrong_usage_and_input_is_exit_code_2_and_leaves_no_file(run: Run, arguments: list[str], message: str):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save("large.png")
    np.save("in.npy", items(1))
    before = set(Path().iterdir())
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert set(Path().iterdir()) == before


def test_a_table_model_has_no_pictures(run: Run, service: FakeService):
    service.item_shape = (6,)
    result = run("sample")
    assert result.exit_code == 2
    assert "items of toy/3 have shape [6], no grey or RGB picture: use --out X.npy" in result.stderr
    assert run("sample", "--out", "x.npy").exit_code == 0


def test_a_model_of_unbounded_values_is_pictured_by_the_values_met(run: Run, service: FakeService):
    service.value_range = None
    assert run("sample", "--count", 2).exit_code == 0
    with Image.open("samples.png") as picture:
        assert {0, 255} <= set(np.asarray(picture).ravel().tolist())


def test_files_are_overwritten_only_by_force_and_before_the_server_is_troubled(run: Run, service: FakeService):
    Path("samples.png").write_text("precious")
    result = run("sample")
    assert result.exit_code == 2
    assert "samples.png exists: pass --force" in result.stderr
    assert (Path("samples.png").read_text(), service.requests) == ("precious", [])
    assert run("sample", "--force").exit_code == 0
    assert Path("samples.png").read_bytes().startswith(b"\x89PNG")


def test_a_full_disk_is_one_line_and_leaves_no_half_file(run: Run, monkeypatch: pytest.MonkeyPatch):
    def full(file: object, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    result = run("sample", "--out", "x.npy")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert not list(Path().iterdir())


def test_ctrl_c_is_exit_code_130_and_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, "ask", interrupted)
    result = run("sample")
    assert (result.exit_code, result.stderr) == (130, "")
    assert not list(Path().iterdir())
