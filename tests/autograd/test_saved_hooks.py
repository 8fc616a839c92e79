"""Hooks on saved values: what they see, what backward makes of their results, and what becomes of errors."""

import gc
import threading
import weakref

import pytest

import pullback as torch
from pullback import func
from pullback.autograd import graph
from pullback.errors import GradError, InplaceError, ShapeError


class Log:
    """Hooks that keep a copy as a list, and note what passes."""

    def __init__(self):
        self.packed, self.unpacked = [], []

    def pack(self, x):
        self.packed.append(x.tolist())
        return x.tolist()

    def unpack(self, values):
        self.unpacked.append(values)
        return torch.tensor(values)

    def __call__(self):
        return graph.saved_tensors_hooks(self.pack, self.unpack)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x**3
        ctx.save_for_backward(x, y, None)
        return y

    @staticmethod
    def backward(ctx, g):
        x, y, nothing = ctx.saved_tensors
        assert nothing is None
        return g * 3 * y / x


def test_values_are_packed_in_torchs_order_and_unpacked_for_backward():
    a, b, log = leaf(1.0, 2.0), leaf(3.0, 4.0), Log()
    with log():
        y = a * b
    assert log.packed == [[3.0, 4.0], [1.0, 2.0]] and log.unpacked == []
    y.sum().backward()
    assert log.unpacked == log.packed
    assert a.grad.tolist() == [3, 4] and b.grad.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("make", "packed"),
    [
        (lambda a, b: torch.addcmul(a, b, a.detach()), [[2.0]]),
        (lambda a, b: a / b.detach(), [[3.0]]),
        (lambda a, b: torch.where(a > 2, a, b), [[False]]),
        (lambda a, b: a.exp().log(), None),
        (lambda a, b: a + b, []),
        (lambda a, b: a * b.detach(), [[3.0]]),
        (lambda a, b: a.reshape(1, 1) @ b.reshape(1, 1), None),
    ],
)
def test_packed_values_by_operation(make, packed):
    a, b, log = leaf(2.0), leaf(3.0), Log()
    with log():
        y = make(a, b)
    if packed is not None:
        assert log.packed == packed
    grads = torch.autograd.grad(y.sum(), (a, b), allow_unused=True)
    expected = torch.autograd.grad(make(a, b).sum(), (a, b), allow_unused=True)
    assert str(grads) == str(expected)


@pytest.mark.parametrize("name", ["mse_loss", "cross_entropy", "gelu", "silu", "softmax", "smooth_l1_loss"])
def test_losses_and_hidden_values_give_the_same_bits(name):
    torch.manual_seed(0)
    x, target = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
    f = getattr(torch.nn.functional, name)
    arguments = {
        "cross_entropy": (torch.tensor([0, 1, 2, 3]),),
        "gelu": (),
        "silu": (),
        "softmax": (-1,),
    }.get(name, (target,))

    def gradient():
        return torch.autograd.grad((f(x, *arguments) * 1.5).sum(), x)[0]

    expected, packs = gradient(), []

    def pack(t):
        packs.append(1)
        return t.detach().numpy().copy()

    with graph.saved_tensors_hooks(pack, torch.from_numpy):
        found = gradient()
    assert packs and torch.equal(found, expected)


def test_the_innermost_pair_counts():
    a, outer, inner = leaf(2.0), Log(), Log()
    with outer():
        x = a * a
        with inner():
            y = x * x
        z = y * y
    assert len(outer.packed) == 4 and len(inner.packed) == 2
    z.sum().backward()
    assert a.grad.tolist() == [8 * 2.0**7]
    again = log = Log()
    with log() as nothing, again():
        assert nothing is None


def test_one_object_may_be_entered_twice():
    a, log = leaf(2.0), Log()
    hooks = log()
    with hooks:
        with hooks:
            y = a * a
        y = y * y
    (y * y).sum().backward()
    assert len(log.packed) == 4 and a.grad.tolist() == [8 * 2.0**7]


def test_an_input_comes_with_its_place_and_a_leaf_is_itself():
    a, seen = leaf(2.0), []
    with graph.saved_tensors_hooks(lambda x: seen.append(x) or x.detach(), lambda x: x):
        y = (a * 3).cos()
        z = a.sin()
    inner, outer = seen
    assert inner.grad_fn is y.grad_fn.next_functions[0][0] and outer is a
    z.sum().backward()


def test_pack_runs_without_recording_and_unpack_in_the_mode_of_backward():
    a, modes = leaf(2.0), []

    def note(x):
        modes.append(torch.is_grad_enabled())
        return x.clone()

    with graph.saved_tensors_hooks(note, note):
        y = a.sin()
    torch.autograd.grad(y.sum(), a, retain_graph=True)
    torch.autograd.grad(y.sum(), a, create_graph=True)
    assert modes == [False, False, True]


def test_double_backward_runs_through_unpacked_values():
    a, log = leaf(2.0), Log()
    with log():
        y = (a.exp() * a).sum()
    (first,) = torch.autograd.grad(y, a, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), a, create_graph=True)
    second.sum().backward()
    e = torch.tensor(2.0).exp()
    assert torch.allclose(torch.stack([first[0], second[0], a.grad[0]]), torch.stack([3 * e, 4 * e, 5 * e]))


def test_retained_graphs_unpack_each_time():
    a, log = leaf(2.0), Log()
    with log():
        y = a.exp().sum()
    for k in range(3):
        y.backward(retain_graph=True)
        assert len(log.unpacked) == k + 1
    assert len(log.packed) == 1


def test_values_of_a_users_function_are_packed():
    a, log = leaf(2.0), Log()
    with log():
        y = Cube.apply(a)
    assert log.packed == [[2.0], [8.0]]
    y.sum().backward()
    assert log.unpacked == log.packed and a.grad.tolist() == [12]


def test_double_backward_of_a_users_function_with_packed_values():
    a, log = leaf(2.0), Log()
    with log():
        y = Cube.apply(a * 1)
    (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
    (gg,) = torch.autograd.grad(g.sum(), a)
    assert g.tolist() == [12] and gg.tolist() == [12]


def test_nothing_is_packed_where_nothing_is_recorded():
    a, log = leaf(2.0), Log()
    with log(), torch.no_grad():
        _ = a * a
        Cube.apply(a)
    with log():
        _ = a.detach() * 2
    assert log.packed == []


def test_layout_and_dtype_of_an_unpacked_value_may_differ():
    a = torch.arange(6.0).reshape(2, 3).t().requires_grad_()
    b = torch.ones(3, 2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda x: x.double().contiguous(), lambda x: x):
        y = a * b
    y.sum().backward()
    assert b.grad.tolist() == a.tolist() and b.grad.dtype == torch.float32


def test_memory_goes_as_soon_as_the_value_is_packed():
    a = torch.ones(1000, requires_grad=True)
    live = lambda: torch._core.allocator_statistics()["live_bytes"]  # noqa: E731
    with graph.saved_tensors_hooks(lambda x: None, lambda _: torch.ones(1000)):
        y = a.exp()
        before = live()
        z = y.exp()
        del y
        assert live() - before < 1000
    z.sum().backward()


def test_packed_objects_die_with_the_graph():
    class Box:
        pass

    a, boxes = leaf(2.0), []

    def pack(x):
        box = Box()
        box.value = x
        boxes.append(weakref.ref(box))
        return box

    gc.disable()
    try:
        with graph.saved_tensors_hooks(pack, lambda box: box.value):
            y = a.exp().sum()
            z = Cube.apply(a)
        y.backward()
        assert boxes[0]() is None
        assert boxes[1]() is not None and boxes[2]() is not None
        del z
        assert boxes[1]() is None and boxes[2]() is None
    finally:
        gc.enable()


def test_a_cycle_through_a_packed_object_is_collected():
    class Box:
        pass

    def make():
        box = Box()
        with graph.saved_tensors_hooks(lambda x: box, lambda b: torch.ones(1)):
            box.result = leaf(2.0).exp()
        return weakref.ref(box)

    gone = make()
    assert gone() is not None
    gc.collect()
    assert gone() is None


# ---- changes in place --------------------------------------------------------------------------------------


def test_a_hook_that_copies_is_safe_from_changes():
    a = leaf(2.0)
    with graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: x):
        c = a * 1
        y = c * c
        c.mul_(5)
        d = a * 1
        d.mul_(d.detach())
    y.sum().backward()
    assert a.grad.tolist() == [4]
    a.grad = None
    d.sum().backward()
    assert a.grad.tolist() == [2]  # d.detach() as it was before the change


@pytest.mark.parametrize("keep", [lambda x: x, lambda x: x.detach()])
def test_a_hook_that_keeps_the_tensor_notices_changes(keep):
    a = leaf(2.0)
    with graph.saved_tensors_hooks(keep, keep):
        y = a.exp()
        z = Cube.apply(a * 1)
    y.mul_(2)
    z.mul_(2)
    text = (
        r"^one of the variables needed for gradient computation has been modified by an inplace operation: "
    )
    for out in (y, z):
        with pytest.raises(InplaceError, match=text):
            out.sum().backward()


def test_a_pack_hook_must_not_change_its_argument():
    a = leaf(2.0)
    with pytest.raises(
        RuntimeError, match=r"A saved tensor pack hook is modifying its input in place. Tensors"
    ):
        with graph.saved_tensors_hooks(lambda x: x.mul_(2), lambda x: x):
            _ = (a * 1).sin()


# ---- errors ------------------------------------------------------------------------------------------------


def fails(_):
    raise KeyError("hook")


def test_an_error_in_pack_leaves_everything_usable():
    a = leaf(2.0)
    for make in (lambda: a * a, lambda: torch.sin(a), lambda: Cube.apply(a)):
        with pytest.raises(KeyError, match="hook"), graph.saved_tensors_hooks(fails, fails):
            make()
    assert torch._core.saved_hooks() is None and torch.is_grad_enabled()
    (a * a).sum().backward()
    assert a.grad.tolist() == [4]


def test_an_error_in_unpack_leaves_everything_usable():
    a = leaf(2.0)
    broken = [True]
    with graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: fails(x) if broken[0] else x):
        y = (a * a).sum()
    with pytest.raises(KeyError, match="hook"):
        y.backward()
    broken[0] = False
    y.backward()
    assert a.grad.tolist() == [4]


def test_unpack_must_return_a_tensor_of_the_same_shape():
    a = leaf(2.0, 3.0)
    text = "^Output of saved tensor unpack_hook expected to be a Tensor but got result of type int"
    with graph.saved_tensors_hooks(lambda x: x, lambda x: 3):
        y, z = (a * a).sum(), Cube.apply(a).sum()
    for out in (y, z):
        with pytest.raises(TypeError, match=text):
            out.backward()
    with graph.saved_tensors_hooks(lambda x: x, lambda x: torch.ones(5)):
        y = (a * a).sum()
    with pytest.raises(
        ShapeError, match=r"returned a tensor of shape \[5\] for a value of shape \[2\] that mul"
    ):
        y.backward()


def test_hooks_must_be_callable():
    with pytest.raises(
        TypeError, match=r"^_push_saved_tensors_default_hooks\(\): incompatible function arguments"
    ):
        graph.saved_tensors_hooks(1, 2).__enter__()
    raw = (leaf(2.0) * leaf(3.0)).grad_fn._raw_saved_self
    with pytest.raises(TypeError, match=r"^register_hooks\(\): incompatible function arguments"):
        raw.register_hooks(len, 2)


def test_an_unpack_hook_may_free_the_graph_it_serves():
    a = leaf(2.0)
    running = []

    def unpack(x):
        if not running:
            running.append(1)
            y.backward()
        return x

    with graph.saved_tensors_hooks(lambda x: x.clone(), unpack):
        y = (a * a).sum()
    with pytest.raises(GradError, match="Trying to backward through the graph a second time"):
        y.backward()
    assert a.grad.tolist() == [4]


def test_hooks_belong_to_their_thread():
    a, log, seen = leaf(2.0), Log(), []

    def elsewhere():
        (a * a).sum().backward()
        with log():
            seen.append(len(log.packed))

    with log():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert log.packed == [] and seen == [0]
        _ = a * a
    assert len(log.packed) == 2


# ---- refusing hooks ----------------------------------------------------------------------------------------


def test_hooks_can_be_disabled():
    with graph.disable_saved_tensors_hooks("outer"):
        with graph.disable_saved_tensors_hooks("inner"):
            with pytest.raises(RuntimeError, match=r"^inner$"), Log()():
                pass
        with pytest.raises(RuntimeError, match=r"^outer$"), graph.save_on_cpu():
            pass
    with Log()(), pytest.raises(RuntimeError, match=r"^now$"), graph.disable_saved_tensors_hooks("now"):
        pass
    with Log()():
        pass

    @graph.disable_saved_tensors_hooks("decorated")
    def f():
        with graph.save_on_cpu():
            pass

    with pytest.raises(RuntimeError, match=r"^decorated$"):
        f()


@pytest.mark.parametrize("pin_memory", [False, True])
def test_save_on_cpu(pin_memory):
    a = leaf(2.0)
    with graph.save_on_cpu(pin_memory=pin_memory):
        y = a.exp()
        z = y.sum() + Cube.apply(a).sum()
        assert (y.grad_fn._saved_result.data_ptr() == y.data_ptr()) is not pin_memory
    z.backward()
    assert torch.equal(a.grad, torch.tensor([2.0]).exp() + 12)


# ---- one saved value ---------------------------------------------------------------------------------------


def test_hooks_on_one_saved_value():
    a, b, log = leaf(2.0), leaf(3.0), Log()
    y = a * b
    raw = y.grad_fn._raw_saved_self
    raw.register_hooks(log.pack, log.unpack)
    assert log.packed == [[2.0]] and raw.unpack().tolist() == [2]
    y.sum().backward()
    assert log.unpacked == [[2.0], [2.0]] and a.grad.tolist() == [3] and b.grad.tolist() == [2]


def test_saved_values_are_seen_through_hooks():
    a = leaf(2.0)
    with graph.saved_tensors_hooks(lambda x: 2 * x, lambda x: 2 * x):
        y = a * a
        z = y.exp()
    assert y.grad_fn._saved_self.tolist() == [8] and y.grad_fn._saved_other.requires_grad
    assert torch.equal(z.grad_fn._saved_result, 4 * z) and z.grad_fn._saved_result.grad_fn is z.grad_fn


def test_hooks_on_what_a_function_saved():
    a, log = leaf(2.0), Log()
    y = Cube.apply(a)
    raw = y.grad_fn._raw_saved_tensors
    raw[1].register_hooks(log.pack, log.unpack)
    raw[0].register_hooks(log.pack, log.unpack)
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor whose hooks have already"
    ):
        raw[0].register_hooks(log.pack, log.unpack)
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor with value None is forbidden"
    ):
        raw[2].register_hooks(log.pack, log.unpack)
    y.sum().backward()
    assert log.packed == [[8.0], [2.0]] and a.grad.tolist() == [12]
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor after it has been freed"
    ):
        raw[0].register_hooks(log.pack, log.unpack)
    with pytest.raises(GradError, match=r"^Trying to backward through the graph a second time"):
        _ = y.grad_fn._raw_saved_tensors


def test_refusals_of_hooks_on_one_value():
    a, log = leaf(2.0), Log()
    y = torch.tensor(3.0) * a
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor with value None is forbidden"
    ):
        y.grad_fn._raw_saved_other.register_hooks(log.pack, log.unpack)
    raw = y.grad_fn._raw_saved_self
    with pytest.raises(RuntimeError, match="A saved tensor pack hook is modifying its input in place"):
        raw.register_hooks(lambda x: x.mul_(2), log.unpack)
    raw.register_hooks(log.pack, log.unpack)
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor whose hooks have already"
    ):
        raw.register_hooks(log.pack, log.unpack)
    y.backward()
    with pytest.raises(
        RuntimeError, match=r"^Calling register_hooks on a saved tensor after it has been freed"
    ):
        raw.register_hooks(log.pack, log.unpack)
    with pytest.raises(RuntimeError, match="Trying to create a SavedTensor object from Python is"):
        type(raw)()


# ---- under transformations ----


def test_hooks_inside_of_vmap_see_whole_batches():
    shapes = []

    def pack(t):
        shapes.append(tuple(t.shape))
        return t.clone()

    def f(x):
        with graph.saved_tensors_hooks(pack, lambda t: t):
            return (x.sin().exp() * x).sum()

    x = torch.arange(6.0).reshape(3, 2)
    found = func.vmap(func.grad(f))(x)
    assert set(shapes) == {(3, 2)}
    assert torch.equal(found, func.vmap(func.grad(lambda t: (t.sin().exp() * t).sum()))(x))


def test_an_unpack_hook_must_not_return_one_sample_of_a_batch():
    def f(x):
        w = torch.ones(1, requires_grad=True)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: x):
            y = (w * w).sum()
        return torch.autograd.grad(y, w)[0]

    with pytest.raises(RuntimeError, match=r"^vmap: an unpack hook returned a tensor that stands"):
        func.vmap(f)(torch.ones(3, 1))
