"""HTTP over ASGI without a server: JSON, errors by the Connect protocol, CORS, and callers who leave."""

import asyncio
import base64
import json
from typing import Any

import pytest
from google.rpc import error_details_pb2

from server.core.batching.ticket import Ticket
from server.core.events import CallHandled
from server.edge.boundary import Boundary
from server.edge.methods import Unary, table
from server.edge.web.app import WebApp
from server.edge.web.cors import CorsPolicy
from server.edge.web.json_messages import MAX_VALUES
from server.errors import Cancelled, InvalidInput, QueueFull
from vaeserve.v1 import vaeserve_pb2 as pb

PATH = "/vaeserve.v1.VaeService/Sample"
JSON = (b"content-type", b"application/json")
HERE = (b"host", b"127.0.0.1:50051")


async def repeating(request, call, record):
    """Answers with what it understood, in the seed."""
    return pb.SampleResponse(seed=request.count * 100 + request.encoding * 10 + request.output)


class Site:
    """A web app that records the calls it counted."""

    def __init__(self, handler: Any = repeating, *origins: str) -> None:
        self.events: list[Any] = []
        boundary = Boundary(max_seconds=30, observe=self.events.append, report_internal=lambda *_, **__: None)
        methods = table(Unary(PATH, pb.SampleRequest, handler))
        self.web_app = WebApp(methods, boundary, max_request_bytes=1 << 20, cors=CorsPolicy(*origins))
        self.waited_for: list[Ticket[Any]] = []

    async def ask(self, *pieces: bytes, headers: Any = (JSON,), verb: str = "POST", path: str = PATH) -> Any:
        left, sent = list(pieces or [b""]), []

        async def receive() -> dict[str, Any]:
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        scope = {"type": "http", "method": verb, "path": path, "headers": list(headers)}
        await self.web_app(scope, receive, send, wait_for=self.waited_for.append)
        if not sent:
            return None
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    def __call__(self, *pieces: bytes, **request: Any) -> Any:
        return asyncio.run(self.ask(*pieces, **request))

    def codes(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, CallHandled)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"count": 2, "encoding": "ENCODING_PNG", "output": "OUTPUT_MODE_DRAW"}',
        b'{"count": "2", "encoding": "PNG", "output": "draw"}',
        b'{"count": 2, "encoding": 3, "output": 2}',
    ],
    ids=["as the proto has it", "short", "numbers"],
)
@pytest.mark.parametrize(
    "kind", [b"application/json", b"application/json; charset=utf-8", b"application/x-www-form-urlencoded"]
)
def test_json_is_read_with_enums_in_full_in_short_and_as_numbers(body, kind):
    status, headers, answer = Site()(body, headers=[(b"content-type", kind)])
    assert (status, json.loads(answer)) == (200, {"seed": "232"})
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"%d" % len(answer)


def test_proto_is_read_and_answered_in_proto():
    request = pb.SampleRequest(count=3).SerializeToString()
    status, headers, answer = Site()(request, headers=[(b"content-type", b"application/proto")])
    assert (status, headers[b"content-type"]) == (200, b"application/proto")
    assert pb.SampleResponse.FromString(answer).seed == 300


def test_a_body_may_come_in_pieces_and_none_is_an_empty_message():
    assert json.loads(Site()(b'{"cou', b'nt": 1', b"}")[2]) == {"seed": "100"}
    assert json.loads(Site()()[2]) == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[1]", "must be a JSON object, got a list"),
        (b"null", "must be a JSON object, got null"),
        (b'{"count": 1, "count": 2}', "'count' occurs twice"),
        (b'{"cuont": 1}', "cuont"),
        (b'{"count": "many"}', "count"),
        (b'{"encoding": "JPEG"}', "JPEG"),
        (b'{"model": {"nam": "x"}}', "nam"),
        (b'{"count":' + b"[" * 10_000, "is not JSON"),
        (b'{"want_latents": [' + b"1," * MAX_VALUES + b"1]}", "at most 16384 values"),
    ],
)
def test_json_that_cannot_be_read_is_invalid_and_counted(body, says):
    site = Site()
    status, _, answer = site(body)
    told = json.loads(answer)
    assert (status, told["code"]) == (400, "invalid_argument")
    assert says in told["message"]
    assert len(told["message"]) < 400
    assert site.codes() == ["INVALID_ARGUMENT"]


def failing(error: Exception):
    async def handler(request, call, record):
        raise error

    return handler


def test_an_error_carries_its_details_packed_and_as_json():
    status, _, answer = Site(failing(InvalidInput("count", "must be 1..4096, got 0")))(b"{}")
    told = json.loads(answer)
    assert (status, told["code"], told["message"]) == (400, "invalid_argument", "count must be 1..4096, got 0")
    (detail,) = told["details"]
    assert detail["type"] == "google.rpc.BadRequest"
    packed = base64.b64decode(detail["value"] + "==")
    assert error_details_pb2.BadRequest.FromString(packed).field_violations[0].field == "count"
    assert detail["debug"] == {"fieldViolations": [{"field": "count", "description": "must be 1..4096, got 0"}]}


def test_a_full_queue_is_429_and_says_when_to_retry():
    status, headers, answer = Site(failing(QueueFull("full", reason="rows", retry_after=1.2)))(b"{}")
    assert (status, headers[b"retry-after"]) == (429, b"2")
    assert headers[b"trailer-grpc-retry-pushback-ms"] == b"1200"
    assert json.loads(answer)["details"][0]["debug"] == {"retryDelay": "1.200s"}


def test_an_unknown_error_is_500_without_its_text():
    status, _, answer = Site(failing(ZeroDivisionError("secret")))(b"{}")
    assert (status, json.loads(answer)["code"]) == (500, "internal")
    assert b"secret" not in answer


def test_a_timeout_of_nothing_is_over_at_once():
    status, _, answer = Site()(b"{}", headers=[JSON, (b"connect-timeout-ms", b"0")])
    assert (status, json.loads(answer)["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ((b"connect-timeout-ms", b"soon"), 400, "invalid_argument"),
        ((b"connect-timeout-ms", b"12345678901"), 400, "invalid_argument"),
        ((b"connect-protocol-version", b"2"), 400, "invalid_argument"),
        ((b"content-encoding", b"gzip"), 501, "unimplemented"),
    ],
)
def test_unsupported_headers_are_refused(header, status, code):
    got, _, answer = Site()(b"{}", headers=[JSON, header])
    assert (got, json.loads(answer)["code"]) == (status, code)
    assert header[0].decode() in json.loads(answer)["message"]


def test_a_request_that_is_too_large_is_refused_while_it_arrives():
    status, _, answer = Site()(*[b" " * (1 << 18)] * 8)
    assert (status, json.loads(answer)["code"]) == (429, "resource_exhausted")


@pytest.mark.parametrize(
    ("verb", "path", "kind", "status"),
    [
        ("POST", "/vaeserve.v1.VaeService/Nothing", b"application/json", 404),
        ("POST", PATH, b"text/plain", 415),
        ("POST", PATH, b"", 415),
        ("GET", PATH, b"", 405),
        ("PUT", "/", b"", 405),
        ("GET", "/etc/passwd", b"", 404),
        ("GET", "/page/../app.py", b"", 404),
    ],
)
def test_unknown_paths_verbs_and_content_types_get_their_http_status(verb, path, kind, status):
    assert Site()(b"{}", verb=verb, path=path, headers=[(b"content-type", kind)])[0] == status


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (b"http://127.0.0.1:50051", b"127.0.0.1:50051", True),
        (b"http://[::1]:50051", b"[::1]:50051", True),
        (b"http://localhost:50051", b"localhost:50051", True),
        (b"https://vae.example", b"vae.example", True),
        (b"http://evil.example", b"127.0.0.1:50051", False),
        (b"http://127.0.0.1:8080", b"127.0.0.1:50051", False),
        (b"null", b"127.0.0.1:50051", False),
        (b"http://evil.example:50051", b"evil.example:50051", False),
        (b"", b"", False),
    ],
)
def test_only_the_servers_own_page_calls_and_a_rebound_name_is_not_its_own(origin, host, allowed):
    status, headers, answer = Site()(b'{"count": 1}', headers=[JSON, (b"origin", origin), (b"host", host)])
    assert status == (200 if allowed else 403)
    assert b"access-control-allow-origin" not in headers
    assert allowed or "--web-origins" in json.loads(answer)["message"]


@pytest.mark.parametrize("named", ["https://app.example", "*"])
def test_a_named_origin_gets_its_preflight_and_its_answer(named):
    page = [HERE, (b"origin", b"https://app.example")]
    status, headers, _ = Site(repeating, named)(verb="OPTIONS", headers=page)
    assert (status, headers[b"access-control-allow-origin"]) == (204, b"https://app.example")
    assert b"authorization" in headers[b"access-control-allow-headers"]
    status, headers, _ = Site(repeating, named)(b"{}", headers=[JSON, *page])
    assert (status, headers[b"access-control-allow-origin"]) == (200, b"https://app.example")
    assert b"trailer-vae-queue-seconds" in headers[b"access-control-expose-headers"]


def test_without_named_origins_no_page_gets_cors_headers():
    status, headers, _ = Site()(verb="OPTIONS", headers=[HERE, (b"origin", b"https://app.example")])
    assert status == 204
    assert not [name for name in headers if name.startswith(b"access-control")]


def test_a_caller_who_leaves_cancels_what_it_waits_for_and_gets_nothing():
    ends: list[Exception] = []

    async def waiting(request, call, record):
        try:
            await Ticket()
        except Cancelled as error:
            ends.append(error)
            raise

    async def leave() -> Any:
        site = Site(waiting)
        asking = asyncio.create_task(site.ask(b"{}"))
        while not site.waited_for:
            await asyncio.sleep(0)
        site.waited_for[0].cancel()
        return await asking, site.codes()

    assert asyncio.run(leave()) == (None, ["CANCELLED"])
    assert len(ends) == 1


def test_a_caller_who_leaves_inside_a_request_is_not_counted():
    site = Site()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    sent: list[Any] = []
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": [JSON]}
    asyncio.run(site.web_app(scope, receive, sent.append, wait_for=site.waited_for.append))
    assert (sent, site.events) == ([], [])


def test_the_page_comes_whole_once_and_is_not_sent_again():
    status, headers, body = Site()(verb="GET", path="/", headers=[])
    assert (status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert Site()(verb="GET", path="/", headers=[(b"if-none-match", headers[b"etag"])])[0] == 304
    assert Site()(verb="HEAD", path="/", headers=[])[2] == b""
    for part in body.split(b'"')[1::2]:
        if part.startswith(b"/"):
            assert Site()(verb="GET", path=part.decode(), headers=[])[0] == 200
