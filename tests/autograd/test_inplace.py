"""Changes in place: history, views and their bases, version counters. Values and texts are PyTorch's."""

import pytest

import pullback as torch

CHANGED = "one of the variables needed for gradient computation has been modified by an inplace operation: "
HINT = (
    " Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
NO_GRAD_VIEW = "A view was created in no_grad mode and is being modified inplace with grad mode enabled."
MANY = (
    " is a view and is being modified inplace. This view is the output of a function that returns multiple "
    "views. Such functions do not allow the output views to be modified inplace. You should replace the "
    "inplace operation by an out-of-place one."
)


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def refuses(text, call, *args):
    with pytest.raises(RuntimeError) as e:
        call(*args)
    assert str(e.value).split("\n")[0].startswith(text), str(e.value)


def gradient(x, y):
    x.grad = None
    y.sum().backward()
    return x.grad.tolist()


def case_operand(x):
    y = x * 2
    z = y * y
    y.add_(1)
    return (
        z,
        "[torch.FloatTensor [2]], which is output 0 of Add, is at version 1; expected version 0 instead.",
    )


def case_own_result(x):
    z = (x * 2).exp()
    z.add_(1)
    return (
        z,
        "[torch.FloatTensor [2]], which is output 0 of Exp, is at version 1; expected version 0 instead.",
    )


def case_plain_tensor(x):
    w = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    z = x * w
    w[0].add_(1)
    w.zero_()
    return z, "[torch.FloatTensor [2, 2]] is at version 2; expected version 0 instead."


def case_leaf(x):
    z = x * x
    with torch.no_grad():
        x.add_(1)
    return z, "[torch.FloatTensor [2]] is at version 1; expected version 0 instead."


def case_element(x):
    y = x * 2
    z = y * y
    y[0] = 1
    return z, "[torch.FloatTensor [2]], which is output 0 of torch::autograd::CopySlices, is at version 1;"


def case_view_of_what_changed(x):
    y = x * 2
    v = y[1:]
    z = v * v
    y.add_(1)
    return (
        z,
        "[torch.FloatTensor [1]], which is output 0 of AsStrided, is at version 1; expected version 0 "
        "instead.",
    )


def case_without_grad(x):
    y = x * 2
    z = y * y
    with torch.no_grad():
        y.add_(1)
    return (
        z,
        "[torch.FloatTensor [2]], which is output 0 of Mul, is at version 1; expected version 0 instead.",
    )


def case_index(x):
    i = torch.tensor([0, 1])
    z = x[i]
    i.add_(0)
    return z, "[torch.LongTensor [2]] is at version 1; expected version 0 instead."


CASES = [f for name, f in sorted(globals().items()) if name.startswith("case_")]


@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__[5:])
def test_a_saved_value_was_changed(case):
    z, text = case(leaf(1.0, 2.0))
    with pytest.raises(RuntimeError) as e:
        z.sum().backward()
    first = str(e.value).split("\n")[0]
    assert first.startswith(CHANGED + text) and first.endswith(HINT), first


def test_a_value_that_nobody_saved_may_change():
    x = leaf(1.0, 2.0)
    z = x * 2
    with torch.no_grad():
        x.add_(1)
    assert gradient(x, z) == [2, 2]


def test_leaves_and_their_views():
    x = leaf(1.0, 2.0)
    text = "a leaf Variable that requires grad is being used in an in-place operation."
    refuses(text, x.add_, 1)
    refuses(text, x.__iadd__, 1)
    text = "a view of a leaf Variable that requires grad is being used in an in-place operation."
    refuses(text, x[0].add_, 1)
    refuses(text, x.__setitem__, 0, 5.0)
    refuses(text, x[0:1].mul_, 2)
    refuses(text, x.view(2).add_, 1)
    assert x.tolist() == [1, 2] and x._version == 0
    x.detach().add_(1)
    x.data.mul_(2)
    with torch.no_grad():
        x[0] = 7.0
    assert x.tolist() == [7, 6] and x.is_leaf and x._version == 2


def test_views_made_without_grad():
    x = leaf(1.0, 2.0)
    h = x * 1
    with torch.no_grad():
        v = h[0:1]
    refuses(NO_GRAD_VIEW, v.add_, 1)
    plain = torch.zeros(2)
    with torch.no_grad():
        v = plain[0:1]
    assert v.mul_(2).tolist() == [0]
    refuses(NO_GRAD_VIEW, v.add_, x[0])
    assert plain.tolist() == [0, 0] and not plain.requires_grad


def test_one_of_several_views():
    x = torch.ones(4, requires_grad=True)
    y = x * 2
    refuses("Output 1 of Unbind" + MANY, y.unbind()[1].add_, 1)
    refuses("Output 1 of Split" + MANY, y.split(2)[1].add_, 1)
    refuses("Output 0 of Split" + MANY, y.chunk(2)[0].mul_, 2)
    refuses("Output 0 of Slice" + MANY, y.chunk(2)[0][0:1].mul_, 2)
    assert y.tolist() == [2, 2, 2, 2]
    a, _ = y.chunk(2)
    y.add_(1)
    text = (
        "Output 0 of Split is a view and its base or another view of its base has been modified inplace. "
        "This view is"
    )
    refuses(text, lambda: a + 1)


def test_overlap():
    text = (
        "unsupported operation: more than one element of the written-to tensor refers to a single memory "
        "location. Please clone() the tensor before performing the operation."
    )
    refuses(text, torch.zeros(1).expand(3).add_, 1)
    b = torch.zeros(3)
    text = (
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
        "single memory location. Please clone() the tensor before performing the operation."
    )
    refuses(text, b[1:].add_, b[:2])
    refuses(
        "result type Float can't be cast to the desired output type Long",
        torch.tensor([0]).add_,
        torch.ones(1),
    )


I, K = torch.tensor([1, 0]), torch.tensor([1, 0])
READ_ELSEWHERE = {  # what is put at other places must not be read meanwhile from the same memory
    "scatter": lambda x: x.scatter_(0, I, x),
    "scatter_add": lambda x: x.scatter_add_(0, I, x),
    "scatter_reduce": lambda x: x.scatter_reduce_(0, I, x, "sum"),
    "scatter with reduce": lambda x: x.scatter_(0, I, x, reduce="add"),
    "scatter at itself": lambda x: K.scatter_(0, K, 3),
    "index_put": lambda x: x.index_put_((I,), x),
    "index_put at itself": lambda x: K.index_put_((K,), torch.tensor(3)),
    "assignment": lambda x: x.__setitem__(I, x),
    "index_add": lambda x: x.index_add_(0, I, x),
    "index_copy": lambda x: x.index_copy_(0, I, x),
    "index_fill at itself": lambda x: K.index_fill_(0, K, 3),
    "put": lambda x: x.put_(I, x),
}


@pytest.mark.parametrize("case", READ_ELSEWHERE)
def test_sources_in_the_same_memory(case):
    x = torch.tensor([2.0, 3.0])
    text = (
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
        "single memory location. Please clone() the tensor before performing the operation."
    )
    refuses(text, READ_ELSEWHERE[case], x)
    assert x.tolist() == [2, 3] and x._version == 0
    assert K.tolist() == [1, 0] and K._version == 0


def test_operands_that_may_lie_in_the_same_memory():
    mask = torch.tensor([False, True, True])
    for change, becomes in {
        (lambda x: x.fill_(x[2])): [4, 4, 4],
        (lambda x: x.masked_fill_(mask, x[0])): [2, 2, 2],
        (lambda x: x.index_fill_(0, I, x[2])): [4, 4, 4],
        (lambda x: x.__setitem__(x > 2, x[0])): [2, 2, 2],
        (lambda x: x[:2].masked_scatter_(mask[1:], x[1:])): [3, 4, 4],
        (lambda x: x[:2].addmv_(torch.ones(2, 2), x[1:])): [9, 10, 4],
        (lambda x: x[:1].view(1, 1).addmm_(x[None], x[:, None])): [31, 3, 4],
    }.items():
        leaf_ = leaf(2.0, 3.0, 4.0)
        for x in (leaf_.detach().clone(), leaf_ * 1):
            change(x)
            assert x.tolist() == becomes
    y = leaf_ * 1
    y.masked_fill_(mask, y[0])
    assert gradient(leaf_, y) == [3, 0, 0]


def test_versions():
    x = torch.tensor([1.0, 2.0, 3.0])
    v, d, own = x[1:], x.detach(), x.data
    assert (x._version, v._version, d._version, own._version) == (0, 0, 0, 0)
    x.add_(1)
    v.mul_(2)
    d.add_(1)
    assert (x._version, v._version, d._version, own._version) == (3, 3, 3, 0)
    own.add_(1)
    x[0] = 4
    x.fill_(1)
    x.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert (x._version, own._version, x.clone()._version) == (6, 1, 0)
    x.requires_grad_()
    assert x._version == 6
    assert v._base is x and v[0]._base is x and d._base is None and v._is_view() and not x._is_view()
    x.data = torch.tensor([7.0])
    assert x._version == 6


def test_history_of_the_tensor_itself():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y.add_(1)
    z = y.mul_(3)
    assert z is y and y.grad_fn.name() == "MulBackward0" and gradient(x, y) == [6, 6, 6]
    y = x * 2
    y += x
    assert gradient(x, y) == [3, 3, 3]
    for change, name in [
        (lambda y: y.zero_(), "ZeroBackward0"),
        (lambda y: y.fill_(3.0), "FillBackward2"),
        (lambda y: y.copy_(x.detach()), "torch::autograd::CopyBackwards"),
    ]:
        y = x * 2
        change(y)
        assert y.grad_fn.name() == name and gradient(x, y) == [0, 0, 0]
    b = torch.zeros(3)
    b += x
    assert not b.is_leaf and gradient(x, b) == [1, 1, 1]


def test_views_change_their_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    v.mul_(10)
    assert y.grad_fn.name() == "torch::autograd::CopySlices" and v.grad_fn.name() == "AsStridedBackward0"
    assert gradient(x, y * y) == [2, 400, 600]
    y = x * 1
    y[0] = 5
    assert gradient(x, y) == [0, 1, 1]
    y = x * 1
    y.view(3, 1)[0].mul_(4)
    assert gradient(x, y) == [4, 1, 1]
    y = x * 1
    y[y > 1.5] = 0.0
    assert gradient(x, y) == [1, 0, 0]
    y = x * 1
    y[torch.tensor([0, 1])] = x[:2] * 5
    assert y.tolist() == [5, 10, 3] and gradient(x, y) == [5, 5, 1]


def test_bases_and_other_views_change_a_view():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    y.mul_(3)
    assert v.grad_fn.name() == "AsStridedBackward0" and gradient(x, v) == [0, 3, 3]
    y = x * 1
    v, w = y[1:], y[:2]
    v.mul_(10)
    assert w.tolist() == [1, 20] and gradient(x, w) == [1, 10, 0]


def test_chains_of_views():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    w = v[1:]
    w.mul_(10)
    v.mul_(2)
    y.mul_(3)
    assert (y.tolist(), v.tolist(), w.tolist()) == ([3, 12, 180], [12, 180], [180])
    x.grad = None
    (w.sum() + v.sum() + y.sum()).backward()
    assert x.grad.tolist() == [3, 12, 180]
    y = x * 1
    v = y[1:]
    v[1:].mul_(10)
    assert gradient(x, v * torch.tensor([1.0, 2.0])) == [0, 1, 20]


def test_plain_bases_begin_to_need_gradients():
    x = leaf(1.0, 2.0, 3.0)
    b = torch.zeros(4)
    b[1:].copy_(x)
    assert (
        b.requires_grad
        and b.grad_fn.name() == "torch::autograd::CopySlices"
        and gradient(x, b * b) == [2, 4, 6]
    )
    b = torch.zeros(2, 3)
    b[0] = x
    b[1] = x * 2
    assert gradient(x, b * torch.tensor([[1.0, 2, 3], [4, 5, 6]])) == [9, 12, 15]
    b = torch.zeros(2, 3)
    b.t()[:, 1] = x
    b.t().mul_(2)
    assert b.tolist() == [[0, 0, 0], [2, 4, 6]] and gradient(x, b * b) == [8, 16, 24]
    b = torch.zeros(3)
    v = b[:1]
    b += x
    assert v.requires_grad and gradient(x, v) == [1, 0, 0]


def test_changes_outside_the_tape():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y.detach().mul_(2)
    assert y.tolist() == [2, 4, 6] and y.grad_fn.name() == "MulBackward0" and gradient(x, y) == [1, 1, 1]
    y = x * 1
    with torch.no_grad():
        y.mul_(2)
    assert gradient(x, y) == [1, 1, 1]


def test_the_gradient_to_retain_is_that_of_the_new_value():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    z = y * 2
    y.retain_grad()
    y.mul_(2)
    (y.sum() + z.sum()).backward()
    assert y.grad.tolist() == [1, 1, 1] and x.grad.tolist() == [4, 4, 4]


def test_higher_orders_through_changes():
    x = leaf(1.0, 2.0, 3.0)
    y = x * x
    y[1:].mul_(x[:2])
    y[0] = x[2] ** 2
    (g,) = torch.autograd.grad((y * y * y).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad((g * g).sum(), x, create_graph=True)
    (k,) = torch.autograd.grad(h.sum(), x)
    assert g.tolist() == [192, 8940, 13122]
    assert h.tolist() == pytest.approx([10446336, 624378240, 886777200], rel=1e-4)
    assert k.tolist() == pytest.approx([7.9122e7, 3.5418e9, 5.0419e9], rel=1e-4)


F = torch.nn.functional


@pytest.mark.parametrize(
    ("make", "gradient_of_twice"),
    [
        (lambda x: x / (x + 1), [0.5, 2 / 9]),
        (lambda x: torch.true_divide(x, x + 1), [0.5, 2 / 9]),
        (lambda x: torch.div(x, x + 1, rounding_mode=None), [0.5, 2 / 9]),
        (lambda x: (x * 1).div_(x + 1), [0.5, 2 / 9]),
        (lambda x: F.softsign(x), [0.5, 2 / 9]),
        (lambda x: F.normalize(x, dim=0), [0.35777, -0.17889]),
    ],
)
def test_a_quotient_may_be_changed(make, gradient_of_twice):
    x = leaf(1.0, 2.0)
    y = make(x)
    y.mul_(2)
    assert gradient(x, y) == pytest.approx(gradient_of_twice, abs=1e-5)
    y = make(x)
    y.mul_(2)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad((2 * make(x)).sum(), x, create_graph=True)
    g.mul_(2)  # a quotient too
    assert gradient(x, g) == pytest.approx([2 * h for h in gradient(x, expected)], abs=1e-6)


def test_what_a_quotient_keeps():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    node = (x / y).grad_fn
    assert node._saved_self.tolist() == [1, 2] and node._saved_other.tolist() == [3, 4]
    assert (x / y.detach()).grad_fn._saved_self is None


def test_what_else_may_be_changed():
    x = leaf(3.0, 1.0, 2.0)
    y = x * 1
    z = torch.msort(y)
    y.detach().mul_(2)  # the order is kept, not the elements
    assert gradient(x, z[1:]) == [1, 0, 1]
    filled = torch.fill(y, torch.tensor(2.0))
    assert filled.mul_(2).tolist() == [4, 4, 4]


def test_a_mask_of_attention_may_be_changed():
    x = torch.arange(4.0).reshape(1, 1, 2, 2).requires_grad_()
    mask = torch.tensor([[True, False], [True, True]])
    (expected,) = torch.autograd.grad(F.scaled_dot_product_attention(x, x, x, mask).sum(), x)
    out = F.scaled_dot_product_attention(x, x, x, mask)
    mask.logical_not_()
    assert gradient(x, out) == expected.tolist()


@pytest.mark.parametrize("mask", [None, torch.tensor([[True, False], [True, True]])])
def test_attention_of_values_of_another_width_keeps_scaled_operands(mask):
    def attend(q, k):
        return F.scaled_dot_product_attention(q, k, torch.arange(6.0).reshape(1, 1, 2, 3), mask)

    x = torch.arange(4.0).reshape(1, 1, 2, 2).requires_grad_()
    (expected,) = torch.autograd.grad(attend(x, x + 1).sum(), x)
    q, k = x * 1, x + 1
    out = attend(q, k)
    with torch.no_grad():
        q.zero_()
        k.zero_()
        if mask is not None:
            mask.logical_not_()
    (g,) = torch.autograd.grad(out.sum(), x)
    assert g.tolist() == expected.tolist()


def test_a_leaf_that_is_a_view_itself():
    text = "^a view of a leaf Variable that requires grad is being used in an in-place operation"
    x = torch.arange(6.0).view(2, 3).requires_grad_()
    for change in (
        lambda: x[0].add_(1),
        lambda: x.tensor_split(2)[0].zero_(),
        lambda: x.add_(1),
        lambda: x.t().mul_(2),
    ):
        with pytest.raises(RuntimeError, match=text):
            change()
    assert x.is_leaf and x.grad_fn is None and x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    with torch.no_grad():
        x[0].add_(1)
    assert x.tolist() == [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]


def test_a_window_on_what_lies_beside_its_view():
    """as_strided() of a row shows elements of the row before: changed in place, they are the base's."""
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 1
    window = y[1].as_strided((2,), (1,), 0)
    window.mul_(2.0)
    assert torch.autograd.grad(window.sum(), x, retain_graph=True)[0].tolist() == [[2, 2, 0], [0, 0, 0]]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [[2, 2, 1], [1, 1, 1]]
