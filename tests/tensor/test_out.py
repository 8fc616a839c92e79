"""`out=`: it is filled, takes the result's shape, and is what the call returns."""

import pytest

import pullback as torch

T = torch.tensor
ROW, OTHER, SQUARE = T([3.0, 4.0]), T([1.0, 2.0]), T([[1.0, 2.0], [3.0, 4.0]])
CALLS = {
    "norm": (lambda **o: torch.norm(ROW, 2, 0, **o), 5.0),
    "norm of all": (lambda **o: torch.norm(ROW, **o), 5.0),
    "linalg.norm": (lambda **o: torch.linalg.norm(ROW, **o), 5.0),
    "linalg.norm by order": (lambda **o: torch.linalg.norm(ROW, 1, **o), 7.0),
    "linalg.vector_norm": (lambda **o: torch.linalg.vector_norm(ROW, dim=0, **o), 5.0),
    "linalg.vecdot": (lambda **o: torch.linalg.vecdot(ROW, OTHER, **o), 11.0),
    "linalg.matmul": (lambda **o: torch.linalg.matmul(ROW, OTHER, **o), 11.0),
    "linalg.matrix_power": (lambda **o: torch.linalg.matrix_power(SQUARE, 1, **o), SQUARE.tolist()),
    "linalg.cross": (lambda **o: torch.linalg.cross(T([1.0, 0, 0]), T([0, 1.0, 0]), **o), [0.0, 0.0, 1.0]),
    "hstack": (lambda **o: torch.hstack([ROW, OTHER], **o), [3.0, 4.0, 1.0, 2.0]),
    "vstack": (lambda **o: torch.vstack([ROW, OTHER], **o), [[3.0, 4.0], [1.0, 2.0]]),
    "row_stack": (lambda **o: torch.row_stack([ROW, OTHER], **o), [[3.0, 4.0], [1.0, 2.0]]),
    "dstack": (lambda **o: torch.dstack([ROW, OTHER], **o), [[[3.0, 1.0], [4.0, 2.0]]]),
    "column_stack": (lambda **o: torch.column_stack([ROW, OTHER], **o), [[3.0, 1.0], [4.0, 2.0]]),
    "nanmean": (lambda **o: torch.nanmean(ROW, **o), 3.5),
    "quantile": (lambda **o: torch.quantile(ROW, 0.5, **o), 3.5),
    "nanquantile": (lambda **o: torch.nanquantile(ROW, 0.5, **o), 3.5),
    "histc": (lambda **o: torch.histc(ROW, 2, **o), [1.0, 1.0]),
    "chain_matmul": (lambda **o: torch.chain_matmul(SQUARE, SQUARE, **o), [[7.0, 10.0], [15.0, 22.0]]),
    "diff": (lambda **o: torch.diff(ROW, **o), [1.0]),
    "kron": (lambda **o: torch.kron(ROW, OTHER, **o), [3.0, 6.0, 4.0, 8.0]),
    "ldexp": (lambda **o: torch.ldexp(ROW, OTHER, **o), [6.0, 16.0]),
    "softmax": (lambda **o: torch.softmax(T([0.0, 0.0]), 0, **o), [0.5, 0.5]),
    "log_softmax": (lambda **o: torch.log_softmax(T([[1.0, 2.0]]), 0, **o), [[0.0, 0.0]]),
    "matrix_power": (lambda **o: torch.matrix_power(SQUARE, 1, **o), SQUARE.tolist()),
    "slice_scatter": (lambda **o: torch.slice_scatter(ROW, T([9.0]), 0, 1, 2, **o), [3.0, 9.0]),
    "tensordot": (lambda **o: torch.tensordot(ROW, OTHER, 1, **o), 11.0),
    "true_divide": (lambda **o: torch.true_divide(ROW, 2, **o), [1.5, 2.0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_filled_and_returned(name):
    call, expected = CALLS[name]
    out = torch.empty(0)
    assert call(out=out) is out
    assert out.tolist() == expected == call(out=None).tolist()


def test_isin_and_a_place_of_its_own():
    out = torch.empty(0, dtype=torch.bool)
    assert torch.isin(T([1, 2]), T([1, 3]), out=out) is out and out.tolist() == [True, False]
    place = torch.empty(())
    assert torch.norm(ROW, 2, 0, False, place) is place and place.item() == 5.0


@pytest.mark.parametrize("call", [torch.norm, lambda x, **o: torch.hstack([x], **o)])
def test_it_takes_no_part_in_a_graph(call):
    with pytest.raises(RuntimeError, match=r"functions with out=\.\.\. arguments don't support automatic"):
        call(ROW.clone().requires_grad_(), out=torch.empty(0))


@pytest.mark.parametrize("make", [torch.zeros, torch.ones, torch.rand, torch.empty, torch.arange])
def test_sparse_tensors_are_refused_and_not_forgotten(make):
    with pytest.raises(NotImplementedError, match="is not implemented for sparse layout"):
        make(2, layout=torch.sparse_coo)


SUMS = {
    "sum": (torch.sum, [6, 15]),
    "prod": (torch.prod, [6, 120]),
    "cumsum": (torch.cumsum, [[1, 3, 6], [4, 9, 15]]),
    "cumprod": (torch.cumprod, [[1, 2, 6], [4, 20, 120]]),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_computed_in_the_type_of_out(name):
    function, whole = SUMS[name]
    x = T([[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert function(x, 1, out=torch.empty(0, dtype=torch.int64)).tolist() == whole
    double = function(x, 1, out=torch.empty(0, dtype=torch.float64))
    assert double.equal(function(x.double(), 1))
    for dtype, out, text in (
        (torch.float32, torch.float64, "float, but got double"),
        (torch.int64, torch.int32, "long int, but got int"),
        (torch.bool, torch.uint8, "bool, but got unsigned char"),
    ):
        with pytest.raises(RuntimeError, match=f"^Expected out tensor to have dtype {text} instead$"):
            function(x, 1, dtype=dtype, out=torch.empty(0, dtype=out))
    with pytest.raises(RuntimeError, match=r"functions with out=\.\.\. arguments don't support automatic"):
        function(x.requires_grad_(), 1, out=torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_sums_are_no_bools(name):
    with pytest.raises(NotImplementedError, match=f"^\"{name}_out_cpu\" not implemented for 'Bool'"):
        getattr(ROW, name)(0, dtype=torch.bool)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_where_torch_has_no_rule_of_out_the_gradient_comes_along(name):
    function, x = getattr(torch, name), ROW.clone().requires_grad_()
    out = torch.empty(2)
    assert function(x, 0, out=out) is out and out.requires_grad
    out[0].backward()
    found = x.grad.clone()
    x.grad = None
    function(x, 0)[0].backward()
    assert x.grad.equal(found)


def test_questions_are_answered_into_tensors_that_require_a_gradient():
    out = torch.empty(2, requires_grad=True)
    assert torch.lt(OTHER, 1.5, out=out) is out and out.tolist() == [1, 0] and out.is_leaf
    torch.logical_and(ROW, OTHER, out=out)
    assert out.tolist() == [1, 1]


def test_extremes_of_all_axes():
    for dim in (None, ()):
        assert SQUARE.amax(dim) == 4 and torch.amin(SQUARE, dim=dim) == 1
        assert torch.amax(SQUARE, dim, True).tolist() == [[4.0]]
