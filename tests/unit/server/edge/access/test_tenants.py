"""Tenants: keys, quotas and the tenants file, with a clock that the test sets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import keys
from server.core.call import Call
from server.core.events import CallTurnedAway, RowsCharged
from server.edge.access.api_key import KeyHash, new_key
from server.edge.access.authenticator import Authenticator
from server.edge.access.tenants_file import BadTenantsFile, parse
from server.edge.access.token_bucket import TokenBucket
from server.errors import InvalidInput, PermissionDenied, QuotaExceeded, Unauthenticated

KEY, KEPT = new_key()


class Peer:
    def __init__(self, authorization: str = "", *certificate_names: str) -> None:
        self.metadata = {"authorization": authorization} if authorization else {}
        self.certificate_names = certificate_names


ALICE = Peer(f"Bearer {KEY}")


class Place:
    """An authenticator, its clock, and the events it reported."""

    def __init__(self, terms: str) -> None:
        self.now, self.told = 0.0, []
        self.authenticator = Authenticator(tenants_file(terms), tell=self.told.append, clock=lambda: self.now)


def tenants_file(terms: str):
    return parse(f'[tenants.alice]\nkeys = ["{KEPT}"]\n{terms}')


def test_a_bucket_holds_its_burst_and_fills_at_its_rate():
    bucket = TokenBucket(rate=2.0, burst=10, now=0.0)
    assert bucket.take(10, now=0.0) == 0.0
    assert bucket.take(4, now=1.0) == 1.0  # 2 of 4 are there
    assert bucket.take(4, now=2.0) == 0.0
    assert bucket.take(10, now=1000.0) == 0.0
    assert bucket.take(1, now=1000.0) == 0.5


@given(
    rate=st.floats(0.1, 1e4),
    burst=st.integers(1, 1000),
    asked=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1000)), max_size=60),
)
def test_a_bucket_gives_at_most_burst_plus_rate_times_time_and_the_wait_it_returns_is_enough(rate, burst, asked):
    bucket, now, got = TokenBucket(rate=rate, burst=burst, now=0.0), 0.0, 0
    for pause, wanted in asked:
        now += pause
        rows = min(wanted, burst)
        wait = bucket.take(rows, now=now)
        if wait > 0:
            now += wait * (1 + 1e-9) + 1e-9
            assert bucket.take(rows, now=now) == 0.0
        got += rows
        assert got <= (burst + rate * now) * (1 + 1e-6)


def test_what_was_used_stays_used_under_other_quotas():
    place = Place("rows_per_second = 1\nburst_rows = 10")
    place.authenticator.enter(ALICE).charge(10, field="count")
    place.authenticator.change(tenants_file("rows_per_second = 2\nburst_rows = 12"))
    place.authenticator.enter(ALICE).charge(2, field="count")
    with pytest.raises(QuotaExceeded) as refusal:
        place.authenticator.enter(ALICE).charge(4, field="count")
    assert refusal.value.retry_after == 2.0


def test_a_refusal_says_when_the_rows_will_be_available():
    place = Place("rows_per_second = 4\nburst_rows = 8")
    visit = place.authenticator.enter(ALICE)
    visit.charge(8, field="count")
    with pytest.raises(QuotaExceeded, match="4 rows a second") as refusal:
        visit.charge(6, field="count")
    assert refusal.value.retry_after == 1.5
    place.now = 1.5
    visit.charge(6, field="count")
    assert place.told == [RowsCharged("alice", 8), CallTurnedAway("quota", "alice"), RowsCharged("alice", 6)]


def test_more_than_the_burst_is_the_callers_mistake_and_costs_nothing():
    place = Place("rows_per_second = 4\nburst_rows = 8")
    visit = place.authenticator.enter(ALICE)
    with pytest.raises(InvalidInput, match="count asks for 9 rows; tenant alice may have 8 at once"):
        visit.charge(9, field="count")
    visit.charge(8, field="count")


def test_rows_that_the_queue_refused_are_given_back():
    place = Place("rows_per_second = 4\nburst_rows = 8")
    visit = place.authenticator.enter(ALICE)
    visit.charge(8, field="count")
    visit.give_back()
    visit.charge(8, field="count")


def test_a_place_among_the_calls_at_a_time_is_free_once_the_call_is_over():
    place = Place("concurrent_calls = 2")
    first, _ = place.authenticator.enter(ALICE), place.authenticator.enter(ALICE)
    with pytest.raises(QuotaExceeded, match="2 calls at a time"):
        place.authenticator.enter(ALICE)
    first.leave()
    first.leave()  # no second place
    place.authenticator.enter(ALICE)
    with pytest.raises(QuotaExceeded):
        place.authenticator.enter(ALICE)


def test_open_calls_still_count_under_a_new_tenants_file():
    place = Place("concurrent_calls = 1")
    visit = place.authenticator.enter(ALICE)
    place.authenticator.change(tenants_file("concurrent_calls = 1"))
    with pytest.raises(QuotaExceeded):
        place.authenticator.enter(ALICE)
    visit.leave()
    place.authenticator.enter(ALICE)


def test_an_admitted_call_carries_its_tenant_and_weight_to_the_queue():
    call = Place("weight = 3").authenticator.enter(ALICE).on_behalf(Call(5.0))
    assert (call.deadline, call.tenant, call.weight) == (5.0, "alice", 3)


@pytest.mark.parametrize(
    "peer",
    [
        Peer(),
        Peer("Bearer "),
        Peer(KEY),
        Peer(f"Basic {KEY}"),
        Peer(f"Bearer {new_key()[0]}"),
        Peer(f"Bearer {KEY}x"),
        Peer("Bearer x", "alice.example"),  # a wrong key is not made good by a certificate
    ],
)
def test_a_peer_without_a_known_key_or_certificate_is_unauthenticated(peer):
    place = Place('certificates = ["alice.example"]')
    with pytest.raises(Unauthenticated):
        place.authenticator.enter(peer)
    assert place.told == [CallTurnedAway("unauthenticated", "")]


def test_the_scheme_is_written_in_any_case():
    Place("").authenticator.enter(Peer(f"bearer {KEY}"))


def test_a_certificate_identifies_its_tenant_and_an_unknown_one_is_denied():
    place = Place('certificates = ["alice.example"]')
    place.authenticator.enter(Peer("", "other.example", "alice.example"))
    with pytest.raises(PermissionDenied, match="belongs to no tenant"):
        place.authenticator.enter(Peer("", "other.example"))


def test_models_are_for_those_who_may_use_them():
    visit = Place('models = ["mnist"]').authenticator.enter(ALICE)
    visit.check_model("mnist")
    with pytest.raises(PermissionDenied, match="alice may not use model faces"):
        visit.check_model("faces")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must hold tables"),
        ("x = 1", "must hold tables"),
        ("[tenants", "is not TOML"),
        ("[tenants]", "must hold tables"),
        ("[tenants.alice]", "needs keys or certificates"),
        ("[tenants.'a b']", "'a b' is not a name"),
        ("[tenants.alice]\nkeys = ['secret']", r"alice.keys: must be ID:sha256:DIGEST"),
        ("[tenants.alice]\nkeys = 'x'", "must be a list of strings"),
        ("[tenants.alice]\nquota = 1", "alice.quota: unknown; allowed are keys"),
        ("[tenants.alice]\nrows_per_second = 0", "must be a number above 0"),
        ("[tenants.alice]\nrows_per_second = nan", "must be a number above 0"),
        ("[tenants.alice]\nweight = 101", r"must be an integer 1\.\.100"),
        ("[tenants.alice]\nconcurrent_calls = true", "must be an integer"),
        ("[tenants.alice]\ncertificates = ['a']\nburst_rows = 5", "burst_rows: needs rows_per_second"),
        (
            "[tenants.alice]\ncertificates = ['a']\n[tenants.bob]\ncertificates = ['a']",
            "bob.certificates: 'a' is listed twice",
        ),
        (f"[tenants.a]\nkeys = ['{KEPT}']\n[tenants.b]\nkeys = ['{KEPT}']", r"b.keys: id \w+ is listed twice"),
    ],
)
def test_a_wrong_tenants_file_is_refused_with_the_place_of_the_mistake(text, problem):
    with pytest.raises(BadTenantsFile, match=problem) as refusal:
        parse(text)
    assert "secret" not in str(refusal.value)


def test_without_quotas_there_are_no_limits_and_the_default_burst_is_ten_seconds_of_rows():
    tenant = tenants_file("").tenants["alice"]
    assert (tenant.rows_per_second, tenant.concurrent_calls, tenant.weight) == (math.inf, None, 1)
    assert tenants_file("rows_per_second = 2.5").tenants["alice"].burst_rows == 25


def test_no_two_keys_are_alike_and_only_the_hash_is_kept():
    other, kept = new_key()
    assert other != KEY
    assert KeyHash.parse(str(kept)) == kept
    assert kept.matches(other)
    assert not kept.matches(KEY)
    assert other.split("_", 2)[2] not in str(kept)


def test_the_command_writes_lines_for_the_file_and_shows_the_key_once(capsys, tmp_path):
    assert keys.main(["alice"]) == 0
    said = capsys.readouterr()
    key = said.err.split()[-1]
    assert parse(said.out).by_key(key).name == "alice"
    assert key not in said.out
    file = tmp_path / "key"
    assert keys.main(["bob", "--key-file", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert file.stat().st_mode & 0o777 == 0o600
    assert parse(said.out).by_key(file.read_text().strip()).name == "bob"
    assert keys.main(["bob", "--key-file", str(file)]) == 2, "a key is not overwritten"
    assert keys.main(["no name"]) == 2
