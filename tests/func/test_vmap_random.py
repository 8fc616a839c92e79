"""Random numbers under vmap: torch's, for each value of `randomness`. as drawn at once."""

import pytest

import pullback as torch
from pullback.func import grad, jacfwd, not_vectorised, vmap
from pullback.nn import functional as F

X = torch.arange(12.0).reshape(4, 3) / 12


def drawn(f, randomness, x=X, **options):
    torch.manual_seed(0)
    with not_vectorised() as report:
        out = vmap(f, randomness=randomness, **options)(x)
    return out, report


def alone(make):
    torch.manual_seed(0)
    return make()


MAKERS = [
    (lambda u: torch.rand(3), lambda n: torch.rand(n, 3)),
    (lambda u: torch.randn(20), lambda n: torch.randn(n, 20)),
    (lambda u: torch.randint(0, 9, (3,)), lambda n: torch.randint(0, 9, (n, 3))),
    (lambda u: torch.rand_like(u), lambda n: torch.rand(n, 3)),
    (lambda u: torch.normal(0.0, 1.0, (4,)), lambda n: torch.normal(0.0, 1.0, (n, 4))),
    (lambda u: u.clone().uniform_(2, 3), lambda n: torch.empty(n, 3).uniform_(2, 3)),
    (lambda u: torch.zeros(3).exponential_(), lambda n: torch.zeros(n, 3).exponential_()),
    (lambda u: F.dropout(torch.ones(3)), lambda n: F.dropout(torch.ones(n, 3))),
    (lambda u: torch.bernoulli(u, 0.3), lambda n: torch.bernoulli(X[:n], 0.3)),
    (lambda u: torch.randperm(5), lambda n: torch.stack([torch.randperm(5) for _ in range(n)])),
]


@pytest.mark.parametrize("k", range(len(MAKERS)))
def test_different_draws_for_all_samples_in_one_go(k):
    sample, batch = MAKERS[k]
    got, report = drawn(sample, "different")
    assert torch.equal(got, alone(lambda: batch(4))) and report == []


@pytest.mark.parametrize("k", range(len(MAKERS)))
def test_same_draws_once(k):
    sample, batch = MAKERS[k]
    got, report = drawn(sample, "same")
    assert torch.equal(got[0], got[3]) and report == []
    if k != 8:
        assert torch.equal(got[0], alone(lambda: batch(1))[0])


@pytest.mark.parametrize("k", range(len(MAKERS)))
def test_error_is_torchs(k):
    with pytest.raises(RuntimeError, match="vmap: called random operation while in randomness error mode"):
        vmap(MAKERS[k][0])(X)
    with pytest.raises(RuntimeError, match="vmap: called random operation while in randomness error mode"):
        vmap(lambda u: vmap(MAKERS[k][0], randomness="different")(u[None]))(X)


def test_probabilities_of_each_sample():
    got, report = drawn(torch.bernoulli, "different")
    assert torch.equal(got, alone(lambda: torch.bernoulli(X))) and report == []
    same, _ = drawn(torch.bernoulli, "same")
    u = alone(lambda: torch.rand(3))
    assert torch.equal(same, (u < X).float())


def test_nested():
    x = torch.zeros(2, 3)
    both, _ = drawn(lambda u: vmap(lambda v: torch.rand(2) + v, randomness="different")(u), "different", x)
    assert torch.equal(both, alone(lambda: torch.rand(2, 3, 2)))
    outer, _ = drawn(lambda u: vmap(lambda v: torch.rand(2) + v, randomness="same")(u), "different", x)
    assert torch.equal(outer, alone(lambda: torch.rand(2, 2))[:, None].expand(2, 3, 2))
    inner, _ = drawn(lambda u: vmap(lambda v: torch.rand(2) + v, randomness="different")(u), "same", x)
    assert torch.equal(inner, alone(lambda: torch.rand(3, 2)).expand(2, 3, 2))


def test_chunks():
    same, _ = drawn(lambda u: torch.rand(2) + 0 * u[:2], "same", chunk_size=3)
    assert torch.equal(same, alone(lambda: torch.rand(2)).expand(4, 2))
    apart, _ = drawn(lambda u: torch.rand(2) + 0 * u[:2], "different", chunk_size=3)
    assert torch.equal(apart, alone(lambda: torch.cat([torch.rand(3, 2), torch.rand(1, 2)])))


def test_a_run_given_up_draws_nothing():
    f = lambda u: torch.rand(2) + (1 if u.sum() > 1 else 0)  # noqa: E731
    got, report = drawn(f, "different")
    first = alone(lambda: torch.cat([torch.rand(2, 2), 1 + torch.rand(2, 2)]))
    assert torch.equal(got, first) and len(report) == 1


def test_dropout_in_derivatives():
    got, _ = drawn(lambda u: grad(lambda v: F.dropout(v).sum())(u), "different")
    assert torch.equal(got, alone(lambda: F.dropout(torch.ones(4, 3))))
    torch.manual_seed(0)
    j = jacfwd(lambda u: F.dropout(u * u), randomness="same")(X[1])
    assert torch.equal(j, torch.diag(2 * X[1] * alone(lambda: F.dropout(torch.ones(3)))))
    with pytest.raises(RuntimeError, match="randomness error mode"):
        jacfwd(lambda u: F.dropout(u))(X[1])


def test_a_generator_of_ones_own():
    g = torch.Generator().manual_seed(3)
    got = vmap(lambda u: torch.rand(2, generator=g) + 0 * u[:2], randomness="different")(X)
    assert torch.equal(got, torch.rand(4, 2, generator=torch.Generator().manual_seed(3)))


def test_multinomial_and_rrelu():
    got, _ = drawn(lambda u: torch.multinomial(u + 0.1, 2), "different")
    assert got.shape == (4, 2) and all(len(set(row)) == 2 for row in got.tolist())
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda u: F.rrelu(u - 0.5, training=True))(X)
