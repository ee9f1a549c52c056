"""The RPCs of a real server, by the generated stubs alone."""

import io

import grpc
import numpy as np
import pytest
from PIL import Image

from vaeserve.v1 import vaeserve_pb2 as pb

pytestmark = pytest.mark.e2e
LEARNED = pb.ModelSelector(name="learned")
TABLE = pb.ModelSelector(name="table")


def array(tensor: pb.Tensor) -> np.ndarray:
    dtype = {pb.DATA_TYPE_FLOAT32: "<f4", pb.DATA_TYPE_UINT8: "u1"}[tensor.dtype]
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def tensor(values: np.ndarray) -> pb.Tensor:
    dtype = pb.DATA_TYPE_UINT8 if values.dtype == np.uint8 else pb.DATA_TYPE_FLOAT32
    return pb.Tensor(dtype=dtype, shape=values.shape, data=values.tobytes())


def images(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, 1, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("model", [None, LEARNED, TABLE])
@pytest.mark.parametrize("output", [pb.OUTPUT_MODE_MEAN, pb.OUTPUT_MODE_DRAW])
def test_row_7_of_100_equals_the_row_asked_for_alone(stub, model, output):
    common = {"seed": 5, "model": model, "output": output, "want_latents": True}
    many = stub.Sample(pb.SampleRequest(count=100, **common))
    one = stub.Sample(pb.SampleRequest(count=1, first_row=7, **common))
    assert array(many.items)[7].tobytes() == one.items.data
    assert array(many.latents)[7].tobytes() == one.latents.data


def test_a_seed_that_the_server_picked_gives_the_same_rows_again(stub):
    first = stub.Sample(pb.SampleRequest(count=3))
    assert stub.Sample(pb.SampleRequest(count=3, seed=first.seed)).items == first.items
    assert stub.Sample(pb.SampleRequest(count=3)).items != first.items


def test_decoding_the_latents_of_a_sample_gives_the_sample(stub):
    sample = stub.Sample(pb.SampleRequest(count=5, seed=1, want_latents=True))
    assert stub.Decode(pb.DecodeRequest(latents=sample.latents)).items == sample.items


def test_encode_pages_equal_the_whole(stub):
    x = images(10)
    whole = stub.Encode(pb.EncodeRequest(items=tensor(x), draws=3, seed=2, want_kl=True, model=LEARNED))
    page = stub.Encode(pb.EncodeRequest(items=tensor(x[4:]), draws=3, seed=2, first_row=4, want_kl=True, model=LEARNED))
    for field in ("mean", "log_var", "draws", "kl"):
        assert array(getattr(whole, field))[4:].tobytes() == getattr(page, field).data


def test_a_pinned_embedding_space_is_kept(stub):
    request = pb.EncodeRequest(items=tensor(images(1)))
    request.expect_embedding_space = stub.Encode(request).embedding_space
    assert stub.Encode(request).mean.shape == [1, 3]
    request.expect_embedding_space = "another"
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Encode(request)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("model", [None, LEARNED])
def test_reconstruct_scores_every_row(stub, model):
    answer = stub.Reconstruct(pb.ReconstructRequest(items=tensor(images(6)), model=model))
    nll, kl, elbo = array(answer.reconstruction_nll), array(answer.kl), array(answer.elbo)
    assert nll.shape == kl.shape == elbo.shape == (6,)
    np.testing.assert_allclose(elbo, -nll - kl, rtol=1e-6)
    percentile = array(answer.elbo_percentile)
    assert ((percentile >= 0) & (percentile <= 100)).all()


def test_uint8_and_float_items_are_the_same_items(stub):
    values = np.random.default_rng(0).integers(0, 256, (4, 1, 4, 4), np.uint8)
    as_bytes = stub.Encode(pb.EncodeRequest(items=tensor(values)))
    as_floats = stub.Encode(pb.EncodeRequest(items=tensor(values / np.float32(255))))
    assert as_bytes.mean == as_floats.mean


def test_png_items_are_pictures_of_the_uint8_items(stub):
    png = stub.Sample(pb.SampleRequest(count=2, seed=1, encoding=pb.ENCODING_PNG))
    raw = stub.Sample(pb.SampleRequest(count=2, seed=1, encoding=pb.ENCODING_UINT8))
    assert not png.HasField("items")
    for picture, pixels in zip(png.png, array(raw.items), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture))), pixels[0])


def test_models_tell_what_they_are(stub):
    listed = stub.ListModels(pb.ListModelsRequest()).models
    assert [(m.model.name, m.is_default) for m in listed] == [("learned", False), ("table", False), ("tiny", True)]
    table = stub.GetModel(pb.GetModelRequest(model=TABLE))
    assert (list(table.item_shape), table.latent_size, table.likelihood) == ([5], 3, "gaussian")
    assert table.sigma == 0.25
    assert list(table.scale) == [1.0, 2.0, 0.5, 1000.0, 1.0]
    assert not table.HasField("value_min")
    learned = stub.GetModel(pb.GetModelRequest(model=LEARNED))
    assert learned.learned_prior
    assert set(learned.graphs) == {"encoder", "decoder", "prior", "prior_log_density"}
    for graph in learned.graphs.values():
        assert graph.source == pb.EXECUTION_SOURCE_GIVEN
        assert (graph.max_batch_rows, graph.executors, graph.threads) == (64, 1, 1)  # support.server.FIXED


def test_answers_carry_their_queue_and_run_times(stub):
    _, call = stub.Reconstruct.with_call(pb.ReconstructRequest(items=tensor(images(6))))
    trailers = {key: value for key, value in call.trailing_metadata() if key.startswith("vae-")}
    assert int(trailers["vae-batch-rows"]) >= 6
    assert float(trailers["vae-run-seconds"]) > 0
    assert float(trailers["vae-queue-seconds"]) >= 0


@pytest.mark.parametrize("model", [None, LEARNED])
def test_without_draws_an_answer_is_the_same_every_time(stub, model):
    """Also under a learned prior, whose KL is measured at a draw."""
    request = pb.ReconstructRequest(items=tensor(images(3)), model=model)
    assert stub.Reconstruct(request) == stub.Reconstruct(request)
    scored = pb.EncodeRequest(items=tensor(images(3)), model=model, want_kl=True)
    assert stub.Encode(scored) == stub.Encode(scored)


@pytest.mark.parametrize("model", [None, LEARNED, TABLE])
def test_a_score_depends_on_the_row_and_not_on_its_page(stub, model):
    x = np.random.default_rng(0).random((10, 5)).astype(np.float32) if model is TABLE else images(10)
    common = {"importance_samples": 100, "seed": 4, "model": model}
    whole = stub.Score(pb.ScoreRequest(items=tensor(x), **common))
    page = stub.Score(pb.ScoreRequest(items=tensor(x[6:]), first_row=6, **common))
    for field in ("log_evidence", "elbo", "elbo_percentile", "effective_samples"):
        assert array(getattr(whole, field)).shape == (10,)
        assert array(getattr(whole, field))[6:].tobytes() == getattr(page, field).data
    assert (array(whole.log_evidence) >= array(whole.elbo)).all()
    assert (whole.seed, whole.model.digest) == (4, page.model.digest)


def test_one_importance_sample_scores_as_reconstruct_does_at_the_same_draw(stub):
    """Under a learned prior, where KL too is taken at the draw."""
    request = {"items": tensor(images(6)), "seed": 9, "model": LEARNED}
    scored = stub.Score(pb.ScoreRequest(**request, importance_samples=1))
    reconstructed = stub.Reconstruct(pb.ReconstructRequest(**request, latent=pb.LATENT_MODE_DRAW))
    np.testing.assert_allclose(array(scored.log_evidence), array(reconstructed.elbo), rtol=1e-5)
    np.testing.assert_allclose(array(scored.elbo_percentile), array(reconstructed.elbo_percentile), rtol=1e-4)


@pytest.mark.parametrize(
    ("rows", "samples", "told"),
    [
        (1, 10_001, "importance_samples must be 0..10000, got 10001"),
        (1, -1, "importance_samples must be 0..10000, got -1"),
        (2000, 600, "importance_samples must be at most 524 for 2000 rows, got 600"),
    ],
)
def test_more_importance_samples_than_a_request_may_ask_for_are_refused(stub, rows, samples, told):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Score(pb.ScoreRequest(items=tensor(images(rows)), importance_samples=samples))
    assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, told)


def test_a_score_without_a_seed_draws_anew_and_says_with_which(stub):
    request = pb.ScoreRequest(items=tensor(images(2)))
    first, second = stub.Score(request), stub.Score(request)
    assert first.log_evidence != second.log_evidence
    request.seed = first.seed
    assert stub.Score(request) == first


def test_a_score_that_is_cut_by_its_deadline_leaves_nothing_waiting(stub, shared):
    with pytest.raises(grpc.RpcError) as late:
        stub.Score(pb.ScoreRequest(items=tensor(images(1000)), importance_samples=1000), timeout=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while shared.sum("vae_queue_rows"):
        pass  # pytest's own time limit ends it
