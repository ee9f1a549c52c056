"""Tenants: who may call and how much, and what logs and metrics show of it."""

import contextlib
import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.authority import Authority, encrypted
from support.http2 import Http2, http2
from support.messages import SAMPLE, WIDE, frame, items, sample
from support.server import ServerProcess, server
from support.transports import TRANSPORTS
from support.waiting import wait_until

import vaeserve
from server import keys
from server.edge.inference_v2 import open_inference_pb2 as oip
from server.edge.inference_v2 import servicer as inference
from vaeserve import Client
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc


class Kept:
    """A server with tenants, the file that lists them, and their keys."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tenants.toml"
        self.keys: dict[str, str] = {}
        self.text = ""
        self.process: ServerProcess

    def add(self, tenant: str, terms: str = "") -> None:
        key_file = self.file.parent / f"{tenant}.key"
        with contextlib.redirect_stdout(io.StringIO()) as made:
            assert keys.main([tenant, "--key-file", str(key_file)]) == 0
        self.keys[tenant] = key_file.read_text().strip()
        self.text += made.getvalue() + terms + "\n"

    def client(self, tenant: str) -> Client:
        return Client(self.process.target, api_key=self.keys[tenant], timeout=20)


@pytest.fixture(scope="module", params=TRANSPORTS)
def kept(request, models: Path, tmp_path_factory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("tenants"))
    kept.add("alice", 'certificates = ["alice.example"]')
    kept.add("slow", "rows_per_second = 0.01\nburst_rows = 10")
    kept.add("single", "concurrent_calls = 1")
    kept.add("paced", "rows_per_second = 200\nburst_rows = 20")
    kept.add("wide_only", 'models = ["wide"]')
    kept.file.write_text(kept.text)
    arguments = ["--transport", request.param, "--default-model", "tiny", "--log-level", "debug"]
    web = ["--web-port", "0"] if request.param == "grpcio" else []
    with server(models, *arguments, *web, "--api-keys", str(kept.file)) as kept.process:
        yield kept


def bare(kept: Kept, authorization: str | None) -> grpc.RpcError:
    metadata = [] if authorization is None else [("authorization", authorization)]
    with grpc.insecure_channel(kept.process.target) as channel, pytest.raises(grpc.RpcError) as refusal:
        vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=1), timeout=20, metadata=metadata)
    return refusal.value


def test_a_key_of_a_tenant_lets_its_calls_in(kept):
    with kept.client("alice") as client:
        assert len(client.sample(2, seed=1).items) == 2
    assert kept.process.sum("vae_tenant_rows_total", tenant="alice") >= 2


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic abc", "Bearer", "", "Bearer vaekey_0_0"])
def test_without_a_key_that_is_known_the_answer_is_unauthenticated(kept, authorization):
    before = kept.process.sum("vae_rejected_total", reason="unauthenticated")
    assert bare(kept, authorization).code() is grpc.StatusCode.UNAUTHENTICATED
    assert kept.process.sum("vae_rejected_total", reason="unauthenticated") == before + 1


def test_without_mutual_tls_no_certificate_is_believed(kept):
    claims = [("x-forwarded-client-cert", "Hash=00;DNS=alice.example")]
    with http2(kept.process.target) as connection:
        answer = connection.call(SAMPLE, frame(sample()), headers=claims)
    assert answer.grpc_status == grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer {alice}"}, 200),
        ({}, 401),
        ({"authorization": "Bearer x"}, 401),
        ({"x-forwarded-client-cert": "Hash=00;DNS=alice.example"}, 401),  # nobody verified it
        ({"authorization": "Bearer {wide_only}"}, 403),
    ],
)
def test_http_needs_the_same_keys(kept, headers, status):
    connection = http.client.HTTPConnection(kept.process.web_target, timeout=20)
    fields = {name: value.format(**kept.keys) for name, value in headers.items()}
    connection.request("POST", SAMPLE, b'{"count": 1}', {"content-type": "application/json", **fields})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == status


def test_a_key_that_differs_in_its_last_letter_is_unknown(kept):
    key = kept.keys["alice"]
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert bare(kept, f"Bearer {other}").code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_needs_no_key_and_reflection_does(kept):
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    with grpc.insecure_channel(kept.process.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=20).status == 1
        assert next(health.Watch(health_pb2.HealthCheckRequest(), timeout=20)).status == 1
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as refusal:
            list(reflection.ServerReflectionInfo(iter(asked), timeout=20))
        assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
        metadata = [("authorization", f"Bearer {kept.keys['alice']}")]
        (answer,) = reflection.ServerReflectionInfo(iter(asked), timeout=20, metadata=metadata)
        assert "vaeserve.v1.VaeService" in {service.name for service in answer.list_services_response.service}


def test_a_used_up_quota_says_when_rows_are_available(kept):
    with grpc.insecure_channel(kept.process.target) as channel:
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        metadata = [("authorization", f"Bearer {kept.keys['slow']}")]
        stub.Sample(pb.SampleRequest(count=10), timeout=20, metadata=metadata)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.Sample(pb.SampleRequest(count=5), timeout=20, metadata=metadata)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = {datum.key: datum.value for datum in refusal.value.trailing_metadata()}
    assert 490_000 < int(trailers["grpc-retry-pushback-ms"]) <= 500_000  # 5 rows at one in 100 s
    retry, quota = error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    details = status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details
    assert details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == int(trailers["grpc-retry-pushback-ms"])
    assert details[1].Unpack(quota)
    assert quota.violations[0].subject == "slow"
    assert kept.process.sum("vae_tenant_rejected_total", tenant="slow", reason="quota") >= 1
    assert kept.process.sum("vae_rejected_total", reason="quota") >= 1


def test_more_rows_than_the_burst_are_an_invalid_argument(kept):
    with kept.client("slow") as client, pytest.raises(vaeserve.InvalidInput) as mistake:
        client.sample(11)
    assert mistake.value.violations[0].field == "count"
    assert "10 at once" in str(mistake.value)


def test_a_stream_beyond_the_quota_comes_whole_at_the_quota_s_pace(kept):
    with kept.client("paced") as client:
        chunks = list(client.sample_stream(60, seed=3))
    assert sum(len(chunk.items) for chunk in chunks) == 60
    assert max(len(chunk.items) for chunk in chunks) == 20, "chunks of the default size keep to the burst"
    assert kept.process.sum("vae_tenant_rows_total", tenant="paced") == 60
    assert kept.process.sum("vae_tenant_rejected_total", tenant="paced", reason="quota") >= 1


def test_chunks_above_the_burst_are_an_invalid_argument(kept):
    with kept.client("slow") as client, pytest.raises(vaeserve.InvalidInput) as mistake:
        next(client.sample_stream(60, chunk_rows=11))
    assert mistake.value.violations[0].field == "chunk_rows"


def test_a_score_costs_every_draw(kept):
    with kept.client("slow") as client, pytest.raises(vaeserve.InvalidInput) as mistake:
        client.score(np.zeros((1, 1, 4, 4), np.float32), importance_samples=11)
    assert mistake.value.violations[0].field == "importance_samples"


def test_open_inference_is_charged_and_bound_to_the_tenant_s_models_alike(kept):
    def ask(tenant: str | None, method: str, request):
        metadata = [] if tenant is None else [("authorization", f"Bearer {kept.keys[tenant]}")]
        call = channel.unary_unary(f"/{inference.SERVICE}/{method}", type(request).SerializeToString, bytes)
        return call(request, timeout=20, metadata=metadata)

    count = oip.ModelInferRequest.InferInputTensor(name="count", datatype="INT64", shape=[1])
    count.contents.int64_contents.append(11)
    infer = oip.ModelInferRequest(model_name="tiny-sampler", inputs=[count])
    with grpc.insecure_channel(kept.process.target) as channel:
        assert oip.ServerLiveResponse.FromString(ask(None, "ServerLive", oip.ServerLiveRequest())).live
        ask("alice", "ModelInfer", infer)
        for tenant, code in (
            (None, grpc.StatusCode.UNAUTHENTICATED),
            ("slow", grpc.StatusCode.INVALID_ARGUMENT),  # more than can ever be had at once
            ("wide_only", grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                ask(tenant, "ModelInfer", infer)
            assert refusal.value.code() is code
        listed = ask("wide_only", "ModelStatistics", oip.ModelStatisticsRequest())
        names = {one.name for one in oip.ModelStatisticsResponse.FromString(listed).model_stats}
    assert names
    assert all(name.startswith("wide") for name in names)


def test_a_tenant_has_so_many_calls_at_a_time(kept):
    with grpc.insecure_channel(kept.process.target) as channel:
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        metadata = [("authorization", f"Bearer {kept.keys['single']}")]
        held = stub.Encode.future(pb.EncodeRequest(items=items(4096), model=WIDE), timeout=60, metadata=metadata)
        wait_until(lambda: kept.process.sum("vae_inflight_rows", model="wide") > 0)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.Sample(pb.SampleRequest(count=1), timeout=20, metadata=metadata)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 calls at a time" in refusal.value.details()
        with kept.client("alice") as other:
            other.sample(1)  # nobody else is held up
        held.cancel()
        with kept.client("single") as client:
            client.sample(1)  # the place is free again: the client comes back when it is told to


def test_a_tenant_may_use_its_models_only(kept):
    with kept.client("wide_only") as client:
        with pytest.raises(vaeserve.PermissionDenied, match="may not use model tiny"):
            client.sample(1)
        client.using("wide").sample(1)


def test_a_new_list_of_tenants_counts_at_once_and_a_broken_one_changes_nothing(kept):
    def may(tenant: str) -> bool:
        with kept.client(tenant) as client:
            try:
                return bool(client.sample(1))
            except vaeserve.Unauthenticated:
                return False

    kept.add("late")
    assert not may("late")
    kept.file.write_text(kept.text)
    wait_until(lambda: may("late"))
    failed = kept.process.sum("vae_reloads_total", what="api keys", result="failed")
    kept.file.write_text("[tenants.late]\nkeys = ['rubbish']\n")
    wait_until(lambda: kept.process.sum("vae_reloads_total", what="api keys", result="failed") > failed)
    assert may("late")
    assert may("alice")
    kept.file.write_text(kept.text.replace("[tenants.late]", "[tenants.later]"))
    wait_until(lambda: kept.process.sum("vae_reloads_total", what="api keys", result="ok") >= 2)
    assert may("late"), "the key is the same, the name is not"


def test_the_access_log_names_the_tenant_of_a_call_that_was_let_in(kept):
    def logged(code: str) -> set[str | None]:
        lines = [json.loads(line) for line in kept.process.lines if '"event": "call"' in line]
        return {line.get("tenant") for line in lines if line["code"] == code and line["method"].endswith("/Decode")}

    latents = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=[1, 1], data=bytes(4))
    for authorization in (f"Bearer {kept.keys['alice']}", "Bearer x"):
        metadata = [("authorization", authorization)]
        with grpc.insecure_channel(kept.process.target) as channel:
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            stub.Decode.future(pb.DecodeRequest(latents=latents), timeout=20, metadata=metadata).exception()
    wait_until(lambda: logged("INVALID_ARGUMENT") == {"alice"})
    wait_until(lambda: logged("UNAUTHENTICATED") == {None})


def test_no_key_appears_in_log_metrics_or_command_line(kept):
    bare(kept, "Bearer vaekey_000000000000_" + "S3CRET" * 7 + "x")
    with kept.client("alice") as client:
        client.sample(1)
    said = "\n".join(kept.process.lines) + json.dumps(kept.process.metrics())
    pid = kept.process.process.pid
    for place in ("cmdline", "environ"):
        said += Path(f"/proc/{pid}/{place}").read_bytes().decode("latin-1")
    assert "S3CRET" not in said
    for key in kept.keys.values():
        assert key.split("_", 2)[2] not in said
    hashes = [line.rpartition(":")[2] for line in kept.text.split('"') if ":sha256:" in line]
    assert len(hashes) == len(kept.keys)
    assert not any(digest in said for digest in hashes)


@pytest.fixture(scope="module", params=TRANSPORTS)
def named(request, models: Path, tmp_path_factory) -> Iterator[tuple[ServerProcess, Authority]]:
    """A server that knows tenants by their certificates."""
    folder = tmp_path_factory.mktemp("named")
    authority = Authority(folder)
    certificate, key = authority.issue("localhost", "127.0.0.1")
    tenants = folder / "tenants.toml"
    tenants.write_text('[tenants.alice]\ncertificates = ["alice.example", "bob.example"]\n')
    arguments = ["--transport", request.param, "--default-model", "tiny", "--api-keys", str(tenants)]
    arguments += ["--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)]
    with server(models, *arguments) as process:
        yield process, authority


def test_a_client_certificate_says_whose_calls_they_are(named):
    process, authority = named
    with Client(process.target, tls=authority.client("alice.example")) as client:
        client.sample(3)
    assert process.sum("vae_tenant_rows_total", tenant="alice") >= 3


def test_a_certificate_of_no_tenant_is_denied(named):
    process, authority = named
    with Client(process.target, tls=authority.client("mallory.example")) as client:
        assert client.health() == "SERVING"
        with pytest.raises(vaeserve.PermissionDenied, match="belongs to no tenant"):
            client.sample(1)


def test_what_a_caller_claims_about_its_certificate_is_not_believed(named):
    process, authority = named
    claims = [("x-forwarded-client-cert", "Hash=00;DNS=alice.example")]
    with encrypted(process.target, authority.client("mallory.example")) as connection:
        answer = Http2(connection).call(SAMPLE, frame(sample()), headers=claims)
    assert answer.grpc_status == grpc.StatusCode.PERMISSION_DENIED.value[0]


def test_no_private_key_appears_in_log_or_command_line(named):
    process, authority = named
    body = (authority.folder / "tls.key").read_text().splitlines()[1]
    said = "\n".join(process.lines) + Path(f"/proc/{process.process.pid}/cmdline").read_bytes().decode("latin-1")
    assert body not in said
