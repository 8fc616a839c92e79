"""What `out=` may not be: another type, memory that is read, a tensor with a gradient; in torch's words."""

import pytest

import pullback as torch

T = torch.tensor
X, Y = T([[1.5, -2.0], [0.5, 2.75]]), T([[2.5, 1.0], [4.0, 0.25]])
V, W, B = T([1.0, 2.0]), T([0.5, -1.0]), torch.ones(2, 2, 2)
I0, K = T([[0, 1], [1, 0]]), T([0, 1])
F64, I64, I32, U8, BOOL = torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool
FOUND, CAST = (
    "Found dtype Double but expected Float",
    "result type Float can't be cast to the desired output type Int",
)
EXACT = "Expected out tensor to have dtype float, but got double instead"
JOINED = "torch.cat(): input types can't be cast to the desired output type Long"
PLACES = (
    "torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or "
    "Long(int64) depending on "
    "whether out_int32 flag is True, but we got output tensor's dtype Float and out_int32 flag is False"
)
CONTRACTED = (
    "tensordot: Expected the output tensor to have dtype Float, but got an output tensor with dtype Double"
)

# the type of out, torch's text, its class: the calls
REFUSED = [
    (
        I32,
        CAST,
        RuntimeError,
        {
            "add": lambda **o: torch.add(X, Y, **o),
            "exp": lambda **o: torch.exp(X, **o),
            "pow": lambda **o: torch.pow(X, 2, **o),
            "true_divide": lambda **o: torch.true_divide(X, Y, **o),
            "addcmul": lambda **o: torch.addcmul(X, X, Y, **o),
            "clamp by tensors": lambda **o: torch.clamp(X, X, Y, **o),
            "lerp by a number": lambda **o: torch.lerp(X, Y, 0.5, **o),
            "std": lambda **o: torch.std(X, 0, **o),
            "kron": lambda **o: torch.kron(X, Y, **o),
            "outer": lambda **o: torch.outer(V, W, **o),
            "max of two": lambda **o: torch.max(X, Y, **o),
            "mean along an axis": lambda **o: torch.mean(X, 0, **o),
        },
    ),
    (
        F64,
        FOUND,
        RuntimeError,
        {
            **{
                n: lambda n=n, **o: getattr(torch, n)(X, **o)
                for n in "abs ceil floor frac neg round sgn sign trunc fix negative hardshrink".split()
            },
            "clamp": lambda **o: torch.clamp(X, 0.0, 1.0, **o),
            "clamp_max": lambda **o: torch.clamp_max(X, 0.0, **o),
            "lerp": lambda **o: torch.lerp(X, Y, Y, **o),
        },
    ),
    (
        F64,
        EXACT,
        RuntimeError,
        {
            "mm": lambda **o: torch.mm(X, Y, **o),
            "bmm": lambda **o: torch.bmm(B, B, **o),
            "matmul": lambda **o: torch.matmul(X, Y, **o),
            "addmm": lambda **o: torch.addmm(X, X, Y, **o),
            "addmv": lambda **o: torch.addmv(V, X, V, **o),
            "baddbmm": lambda **o: torch.baddbmm(B, B, B, **o),
            "softmax": lambda **o: torch.softmax(X, 0, **o),
            "log_softmax": lambda **o: torch.log_softmax(X, 0, **o),
            "gather": lambda **o: torch.gather(X, 0, I0, **o),
            "scatter": lambda **o: torch.scatter(X, 0, I0, Y, **o),
            "scatter of a number": lambda **o: torch.scatter(X, 0, I0, 1.0, **o),
            "scatter_add": lambda **o: torch.scatter_add(X, 0, I0, Y, **o),
            "index_add": lambda **o: torch.index_add(X, 0, K, Y, **o),
            "index_copy": lambda **o: torch.index_copy(X, 0, K, Y, **o),
            "take_along_dim": lambda **o: torch.take_along_dim(X, I0, 0, **o),
            "tril": lambda **o: torch.tril(X, **o),
            "diag": lambda **o: torch.diag(X, **o),
            "msort": lambda **o: torch.msort(X, **o),
            "slice_scatter": lambda **o: torch.slice_scatter(X, Y, **o),
            "norm": lambda **o: torch.norm(X, **o),
            "vector_norm": lambda **o: torch.linalg.vector_norm(X, **o),
            "renorm": lambda **o: torch.renorm(X, 2, 0, 1.0, **o),
            "cross": lambda **o: torch.cross(torch.ones(3), torch.ones(3), 0, **o),
            "matrix_power": lambda **o: torch.matrix_power(X, 2, **o),
        },
    ),
    (
        I64,
        JOINED,
        TypeError,
        {
            n: lambda n=n, **o: getattr(torch, n)([X, Y], **o)
            for n in "cat concat concatenate stack hstack vstack dstack column_stack row_stack".split()
        },
    ),
    (
        torch.float32,
        PLACES,
        RuntimeError,
        {
            "searchsorted": lambda **o: torch.searchsorted(V, W, **o),
            "bucketize": lambda **o: torch.bucketize(X, V, **o),
        },
    ),
    (
        F64,
        CONTRACTED,
        RuntimeError,
        {
            "tensordot": lambda **o: torch.tensordot(X, Y, 1, **o),
            "inner": lambda **o: torch.inner(X, Y, **o),
        },
    ),
    (
        F64,
        "Expected the dtype for input and out to match, but got Float for input's dtype and "
        "Double for out's "
        "dtype.",
        RuntimeError,
        {"amax": lambda **o: torch.amax(X, 0, **o), "amin": lambda **o: torch.amin(X, 0, **o)},
    ),
    (
        I32,
        "{} only supports bool tensor for result, got: Int",
        RuntimeError,
        {"all": lambda **o: torch.all(X, **o), "any": lambda **o: torch.any(X, 0, **o)},
    ),
    (
        U8,
        "{} does not support non-boolean outputs.",
        RuntimeError,
        {n: lambda n=n, **o: getattr(torch, n)(X, **o) for n in ("isposinf", "isneginf", "signbit")},
    ),
    (
        F64,
        "{}(): self and result must have the same scalar type",
        RuntimeError,
        {
            "index_select": lambda **o: torch.index_select(X, 0, K, **o),
            "masked_select": lambda **o: torch.masked_select(X, X > 0, **o),
        },
    ),
    (
        F64,
        "result dtype Double does not match input dtype Float",
        RuntimeError,
        {
            "dot": lambda **o: torch.dot(V, W, **o),
            "vdot": lambda **o: torch.vdot(V, W, **o),
            "matmul of vectors": lambda **o: torch.matmul(V, W, **o),
        },
    ),
    (
        F64,
        "addmv input tensors must have the same dtype, but got Double, Float, and Float",
        RuntimeError,
        {"mv": lambda **o: torch.mv(X, V, **o), "matmul with a vector": lambda **o: torch.matmul(X, V, **o)},
    ),
    (
        I32,
        "expected scalar_type Float but found Int",
        RuntimeError,
        {"logcumsumexp": lambda **o: torch.logcumsumexp(X, 0, **o)},
    ),
    (
        BOOL,
        "\"nansum_cpu\" not implemented for 'Bool'",
        NotImplementedError,
        {"nanmean": lambda **o: torch.nanmean(X, **o)},
    ),
]
ALONE = {
    "addbmm": (
        lambda **o: torch.addbmm(X, B, B, **o),
        F64,
        "self and mat2 must have the same dtype, but got Double and Float",
    ),
    "argmax": (
        lambda **o: torch.argmax(X, **o),
        I32,
        "Expected out tensor to have dtype long int, but got int instead",
    ),
    "isin": (
        lambda **o: torch.isin(X, Y, **o),
        U8,
        "Expected out tensor to have dtype bool, but got unsigned char instead",
    ),
    "bitwise_not": (lambda **o: torch.bitwise_not(K, **o), I32, "Found dtype Int but expected Long"),
    "chain_matmul": (
        lambda **o: torch.chain_matmul(X, Y, **o),
        F64,
        "multi_dot(): expected out tensor to have dtype float but got double",
    ),
    "diag of a row": (
        lambda **o: torch.diag(V, **o),
        I64,
        "diag: result type Float can't be cast to the desired out= type Long",
    ),
    "float_power": (
        lambda **o: torch.float_power(X, 2, **o),
        torch.float32,
        ("the output given to float_power has dtype Float but the operation's result requires dtype Double"),
    ),
    "heaviside": (
        lambda **o: torch.heaviside(X, Y, **o),
        F64,
        "heaviside is not yet implemented for tensors with different dtypes.",
    ),
    "histc": (
        lambda **o: torch.histc(X, 2, **o),
        I64,
        (
            "torch.histogram: input tensor and hist tensor should have the same dtype, but got "
            "input float and hist long int"
        ),
    ),
    "ldexp": (lambda **o: torch.ldexp(X, Y, **o), I64, "ldexp can't be cast to the desired output type Long"),
    "linalg.norm": (
        lambda **o: torch.linalg.norm(X, **o),
        F64,
        "linalg.norm expected out tensor dtype Float but got: Double",
    ),
    "linalg.vecdot": (
        lambda **o: torch.linalg.vecdot(X, Y, **o),
        F64,
        "linalg.vecdot: Expected out of dtypeFloat but found Double",
    ),
    "logsumexp": (
        lambda **o: torch.logsumexp(X, 0, **o),
        I64,
        "logsumexp(): Expected floating point type for result tensor, but got: Long",
    ),
    "matrix_power": (
        lambda **o: torch.matrix_power(X, 2, **o),
        BOOL,
        (
            "matrix_power: Expected result to be safely castable from Float dtype, but got "
            "result with dtype Bool"
        ),
    ),
    "max of all": (
        lambda **o: torch.max(X, **o),
        BOOL,
        (
            "Expected canCast( typeMetaToScalarType(self.dtype()), "
            "typeMetaToScalarType(out.dtype())) to be true, but got false.  (Could this error "
            "message be improved?  If so, please report an enhancement request to PyTorch.)"
        ),
    ),
    "mean": (
        lambda **o: torch.mean(X, **o),
        I64,
        "mean.dtype_out(): input types can't be cast to the desired output type Long",
    ),
    "nan_to_num": (
        lambda **o: torch.nan_to_num(X, **o),
        F64,
        "nan_to_num: dtype of out: Double should be same as input: Float",
    ),
    "nonzero": (
        lambda **o: torch.nonzero(X, **o),
        I32,
        "nonzero: Expected out tensor to have scalar type Long but got scalar typeInt",
    ),
    "quantile": (
        lambda **o: torch.quantile(X, 0.5, **o),
        F64,
        "quantile() out tensor must be same dtype as the input tensor",
    ),
    "take": (
        lambda **o: torch.take(X, K, **o),
        F64,
        (
            "take(): self and out expected to have the same dtype, but got self.dtype = Float "
            "and out.dtype = Double"
        ),
    ),
    "where": (lambda **o: torch.where(X > 0, X, Y, **o), F64, "Expected out type to be Float but got Double"),
}
CASES = {
    name: (call, kind, text.format(name), error)
    for kind, text, error, calls in REFUSED
    for name, call in calls.items()
}
CASES |= {name + "!": (call, kind, text, RuntimeError) for name, (call, kind, text) in ALONE.items()}


def refused(call, error, text, *unchanged):
    before = [(t.tolist(), t._version) for t in unchanged]
    with pytest.raises(error) as e:
        call()
    assert str(e.value).split("\n")[0] == text
    assert [(t.tolist(), t._version) for t in unchanged] == before


@pytest.mark.parametrize("name", CASES)
def test_types(name):
    call, dtype, text, error = CASES[name]
    out = torch.full(call().shape, 1, dtype=dtype)
    refused(lambda: call(out=out), error, text, out, X, Y, V, W)
    right = torch.empty(0, dtype=call().dtype)
    assert call(out=right) is right and right.equal(call())


PAIRS = {
    "max": (
        lambda **o: torch.max(X, 0, **o),
        EXACT,
        "Expected out tensor to have dtype long int, but got int instead",
    ),
    "sort": (
        lambda **o: torch.sort(X, **o),
        EXACT,
        "Expected out tensor to have dtype long int, but got int instead",
    ),
    "topk": (
        lambda **o: torch.topk(X, 1, **o),
        EXACT,
        "Expected out tensor to have dtype long int, but got int instead",
    ),
    "cummax": (
        lambda **o: torch.cummax(X, 0, **o),
        "expected scalar_type Float but found Double",
        "expected scalar_type Long but found Int",
    ),
    "kthvalue": (
        lambda **o: torch.kthvalue(X, 1, **o),
        "output values must be of same type as input",
        "output indices must be of scalar type Long",
    ),
    "mode": (
        lambda **o: torch.mode(X, **o),
        "expected scalar type 'Float' but got 'Double' for values output",
        "expected scalar type 'Long' but got 'Int' for indices output",
    ),
    "median": (
        lambda **o: torch.median(X, 0, **o),
        (
            "Expected tensor for 'values' to have the same type as tensor for argument #2 "
            "'self'; but type torch.DoubleTensor does not equal torch.FloatTensor (while "
            "checking arguments for median)"
        ),
        (
            "Expected tensor for argument #1 'indices' to have scalar type Long; but got "
            "torch.IntTensor instead (while checking arguments for median)"
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    call, first, second = PAIRS[name]
    shape = call()[0].shape
    for kinds, text in (((F64, I64), first), ((torch.float32, I32), second)):
        out = tuple(torch.full(shape, 1, dtype=k) for k in kinds)
        refused(lambda out=out: call(out=out), RuntimeError, text, *out)


def test_a_pair_of_one_and_a_single_tensor():
    with pytest.raises(TypeError, match=r"^median\(\) missing 1 required positional arguments: \"dim\"$"):
        torch.median(X, out=torch.empty(0))
    with pytest.raises(TypeError, match=r"^expected tuple of 2 elements but got 1$"):
        torch.topk(X, 1, out=(torch.empty(0),))


SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor "
    "refer to a single memory "
    "location. Please clone() the tensor before performing the operation."
)


def shifted():
    memory = torch.arange(5.0)
    return memory[:4].view(2, 2), memory[1:].view(2, 2)


OVERLAPS = {
    "exp": lambda x, o: torch.exp(x, out=o),
    "add": lambda x, o: torch.add(Y, x, out=o),
    "clamp": lambda x, o: torch.clamp(x, 0.0, out=o),
    "where": lambda x, o: torch.where(X > 0, x, Y, out=o),
    "addmm": lambda x, o: torch.addmm(x, X, Y, out=o),
    "scatter_add": lambda x, o: torch.scatter_add(x, 0, I0, Y, out=o),
    "gather": lambda x, o: torch.gather(x, 0, I0, out=o),
    "index_select": lambda x, o: torch.index_select(x, 0, K, out=o),
    "take": lambda x, o: torch.take(x, I0, out=o),
    "cumsum": lambda x, o: torch.cumsum(x, 0, out=o),
    "cross": lambda x, o: torch.outer(x[0], x[1], out=o),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_memory_that_is_read(name):
    x, out = shifted()
    refused(lambda: OVERLAPS[name](x, out), RuntimeError, SHARED, x, out)


def test_the_operand_itself():
    x = X.clone()
    assert torch.exp(x, out=x) is x and x.equal(X.exp())
    x = X.clone()
    refused(lambda: torch.gather(x, 0, I0, out=x), RuntimeError, SHARED, x)
    refused(lambda: torch.cat([x, Y], out=x), RuntimeError, SHARED, x)
    row = V.clone()
    text = "output with shape [2] doesn't match the broadcast shape [2, 2]"
    refused(lambda: torch.add(X, row, out=row), RuntimeError, text, row)
    assert row.shape == (2,)


def test_reductions_may_write_over_what_they_read():
    x = X.clone()
    assert torch.sum(x, 0, out=x[0]).equal(X.sum(0))
    x = X.clone()
    assert torch.mm(x, Y, out=x).equal(X.mm(Y))


def test_elements_that_lie_in_one_place():
    text = (
        "unsupported operation: more than one element of the written-to tensor refers to a "
        "single memory location. "
        "Please clone() the tensor before performing the operation."
    )
    out = torch.zeros(1).expand(2, 2)
    refused(
        lambda: torch.sort(X, out=(torch.zeros(2, 2), out.long().expand(2, 2)[:1].expand(2, 2))),
        RuntimeError,
        text,
    )
    refused(lambda: torch.exp(X, out=out), RuntimeError, text, out)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda o: torch.eye(2, out=o), "aten::eye"),
        (lambda o: torch.ones(2, 2, out=o), "aten::ones"),
        (lambda o: torch.full((2, 2), 1.0, out=o), "aten::full"),
        (lambda o: torch.normal(X, 1.0, out=o), "normal"),
        (lambda o: torch.bernoulli(torch.ones(2, 2), out=o), "bernoulli"),
        (lambda o: torch.clip(X, 0.0, out=o), "clamp"),
        (lambda o: torch.true_divide(X, 2, out=o), "div"),
        (lambda o: torch.max(X, Y, out=o), "maximum"),
        (lambda o: torch.nanmean(X, 0, out=o), "nansum"),
    ],
)
def test_gradients(call, name):
    out = torch.zeros(2, 2)
    text = (
        f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
        "arguments requires grad."
    )
    refused(lambda: call(out.requires_grad_()), RuntimeError, text, out)


def test_draws_follow_the_memory_of_out():
    for draw in (torch.rand, torch.randn, lambda *n, **o: torch.randint(0, 9, n, dtype=torch.float32, **o)):
        torch.manual_seed(1)
        expected = draw(4, 2)
        torch.manual_seed(1)
        assert draw(2, 4, out=torch.zeros(4, 2).t()).t().equal(expected)


def test_copysign_has_the_type_of_both():
    wide = torch.copysign(X, Y.double())
    assert wide.dtype is F64 and wide.tolist() == X.abs().tolist()
    assert torch.copysign(K, Y.double()).dtype is F64 and torch.copysign(X, K).dtype is torch.float32
    x, y = X.clone().requires_grad_(), -Y.double().requires_grad_()
    assert torch.autograd.grad(torch.copysign(x, y).sum(), x)[0].tolist() == [[-1.0, 1.0], [-1.0, -1.0]]


def test_logit_holds_first_from_below():
    assert torch.logit(T([0.1, 0.7]), 0.6).tolist() == torch.logit(T([0.6, 0.4])).tolist()
