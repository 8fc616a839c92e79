"""__torch_function__: classes, objects and modes that are asked; subclasses through all kinds of "
"operations."""

import copy
import gc
import inspect
import operator
import pickle
import threading

import numpy as np
import pytest

import pullback as torch
from pullback import overrides
from pullback.nn import functional

LOG = []


class Logged(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        LOG.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


class Kept(torch.Tensor):
    """The default: results have the class."""


class Refusing(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


class Duck:
    """No tensor at all."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__, types, len(args), kwargs


def made(cls, *values):
    return torch.tensor(list(values)).as_subclass(cls)


@pytest.fixture(autouse=True)
def _empty_log():
    LOG.clear()


PLAIN = torch.ones(2)
# What is called, the name that is shown, and the class of the result (None: not a tensor).
CALLS = {
    "add": (lambda a: a + 1, "add"),
    "radd": (lambda a: 1 + a, "add"),
    "mul, plain first": (lambda a: PLAIN * a, "mul"),
    "rsub": (lambda a: 1 - a, "__rsub__"),
    "div": (lambda a: a / 2, "div"),
    "rdiv": (lambda a: 1 / a, "__rdiv__"),
    "pow": (lambda a: a**2, "pow"),
    "rpow": (lambda a: 2**a, "__rpow__"),
    "floordiv": (lambda a: a // 2, "__floordiv__"),
    "rfloordiv": (lambda a: 2 // a, "__rfloordiv__"),
    "mod": (lambda a: a % 2, "remainder"),
    "rmod": (lambda a: 2 % a, "__rmod__"),
    "matmul": (lambda a: torch.ones(2, 2) @ a, "matmul"),
    "neg": (lambda a: -a, "neg"),
    "pos": (lambda a: +a, "positive"),
    "abs": (abs, "abs"),
    "compare": (lambda a: a < 2, "lt"),
    "equal": (lambda a: a == 2, "__eq__"),
    "equal, plain first": (lambda a: a == PLAIN, "__eq__"),
    "not equal": (lambda a: a != 2, "ne"),
    "method": (lambda a: a.mul(2), "mul"),
    "function": (lambda a: torch.exp(a), "exp"),
    "keyword": (lambda a: torch.add(PLAIN, other=a), "add"),
    "in place": (lambda a: a.add_(1), "add_"),
    "operator in place": (lambda a: a.__imul__(2), "mul_"),
    "into a plain one": (lambda a: torch.ones(2).copy_(a), "copy_"),
    "reduction": (lambda a: a.sum(), "sum"),
    "view": (lambda a: a.view(2, 1), "view"),
    "index": (lambda a: a[0], "__getitem__"),
    "slice": (lambda a: a[:1], "__getitem__"),
    "mask": (lambda a: a[PLAIN > 0], "__getitem__"),
    "list": (lambda a: torch.cat([PLAIN, a]), "cat"),
    "tuple": (lambda a: torch.stack((PLAIN, a)), "stack"),
    "like": (lambda a: torch.zeros_like(a), "zeros_like"),
    "new": (lambda a: a.new_zeros(2), "new_zeros"),
    "clone": (lambda a: a.clone(), "clone"),
    "detach": (lambda a: a.detach(), "detach"),
    "to": (lambda a: a.to(torch.float64), "to"),
    "random": (lambda a: a.uniform_(), "uniform_"),
    "attribute": (lambda a: a.data, "__get__"),
    "functional": (lambda a: functional.relu(a), "relu"),
    "linear": (lambda a: functional.linear(a, torch.ones(3, 2)), "linear"),
    "loss": (lambda a: functional.mse_loss(a, PLAIN), "mse_loss"),
    "softmax": (lambda a: functional.softmax(a, 0), "softmax"),
    "where": (lambda a: torch.where(PLAIN > 0, a, PLAIN), "where"),
    "einsum": (lambda a: torch.einsum("i,i->i", a, PLAIN), "einsum"),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_question_a_call(name):
    call, shown = CALLS[name]
    a = made(Logged, 1.0, 2.0)
    LOG.clear()
    result = call(a)
    assert LOG == [shown]
    assert type(result) is Logged
    kept = call(made(Kept, 1.0, 2.0))
    assert type(kept) is Kept
    expected = call(torch.tensor([1.0, 2.0]))
    if name != "random":
        with overrides.DisableTorchFunctionSubclass():
            assert torch.equal(kept, expected) and torch.equal(result, expected)
            plain = call(made(Kept, 1.0, 2.0))
        assert type(plain) is (
            Kept if name in ("in place", "operator in place", "pos", "random") else torch.Tensor
        )


@pytest.mark.parametrize(
    ("call", "shown", "expected"),
    [
        (lambda a: a.shape, "__get__", (2,)),
        (lambda a: a.dtype, "__get__", torch.float32),
        (lambda a: a.requires_grad, "__get__", False),
        (lambda a: a.grad, "__get__", None),
        (lambda a: a.device.type, "__get__", "cpu"),
        (lambda a: a.size(), "size", (2,)),
        (lambda a: a.dim(), "dim", 1),
        (lambda a: a.numel(), "numel", 2),
        (lambda a: a.tolist(), "tolist", [1, 2]),
        (len, "__len__", 2),
        (repr, "__repr__", "Logged([1., 2.])"),
        (lambda a: torch.allclose(a, a), "allclose", True),
        (lambda a: setattr(a, "grad", PLAIN), "__set__", None),
        (lambda a: setattr(a, "requires_grad", True), "__set__", None),
        (lambda a: a.__setitem__(0, 5.0), "__setitem__", None),
        (lambda a: PLAIN.clone().__setitem__(0, a[0]), "__setitem__", None),
        (lambda a: np.asarray(a).tolist(), "__array__", [1, 2]),
    ],
)
def test_answers_that_are_no_tensors(call, shown, expected):
    assert call(made(Logged, 1.0, 2.0)) == expected
    assert LOG[-1] == shown and len(LOG) <= 2


def test_truth_and_numbers():
    a = made(Logged, 3.0)
    LOG.clear()
    assert bool(a) and int(a) == 3 and float(a) == 3.0 and [5, 6, 7, 8][made(Logged, 3)] == 8
    assert LOG == ["__bool__", "__int__", "__float__", "__index__"]


def test_several_results_keep_the_class():
    a = made(Kept, 3.0, 1.0)
    for results in (a.split(1), a.unbind(), a.chunk(2), a.max(0), torch.sort(a), list(a), a.aminmax()):
        assert [type(r) for r in results] == [Kept] * 2
    values, positions = a.max(0)
    assert values.item() == 3 and positions.item() == 0


def test_gradients_through_a_subclass():
    for cls in (Kept, Logged):
        a = made(cls, 1.0, 2.0).requires_grad_()
        (functional.relu(a * 3).sum() * 2).backward()
        assert a.grad.tolist() == [6, 6] and type(a * 1) is cls
        (g,) = torch.autograd.grad((a * a).sum(), a)
        assert g.tolist() == [2, 4]
    assert {"backward", "grad", "requires_grad_"} <= set(LOG)


def test_attributes_of_results():
    leaf = torch.ones(2, requires_grad=True)
    view = (leaf * 1).as_subclass(Kept)
    view.mul_(3)  # a view like others: its base follows
    assert view._base.grad_fn.name() == "torch::autograd::CopySlices" and view._base.tolist() == [3, 3]
    assert leaf.as_subclass(Kept).grad_fn.name() == "AliasBackward0" and leaf.as_subclass(Kept)._base is leaf
    a = torch.Tensor._make_subclass(Kept, torch.tensor([[1.0], [2.0]]))
    a.note = "mine"
    b = a.view(2)
    assert b._base is a and not hasattr(b, "note") and a.T.shape == (1, 2)
    assert type(copy.deepcopy(a)) is Kept and type(pickle.loads(pickle.dumps(a))) is Kept
    assert type(torch.Tensor._make_subclass(Kept, PLAIN)) is Kept and type(Kept([1.0])) is Kept
    with pytest.raises(TypeError, match=r"cls must be a type \(got int\)"):
        a.as_subclass(3)
    with pytest.raises(
        TypeError, match="Creating a Tensor subclass from a class that does not inherit from Tensor"
    ):
        a.as_subclass(int)
    parameter = torch.nn.Parameter(a)
    assert type(parameter) is Kept and isinstance(parameter, torch.nn.Parameter) and parameter.requires_grad
    assert type(torch.nn.Parameter(PLAIN) * 2) is torch.Tensor
    assert type(torch.tensor(a.tolist())) is torch.Tensor and type(a * torch.nn.Parameter(PLAIN)) is Kept


def test_classes_and_their_order():
    class Below(Logged):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            LOG.append([cls.__name__, [t.__name__ for t in types]])
            return super().__torch_function__(func, types, args, kwargs)

    a, b = made(Logged, 1.0), made(Below, 2.0)
    assert type(a + b) is Below and LOG[0] == ["Below", ["Below", "Logged"]]
    with pytest.raises(
        TypeError, match=r"Multiple dispatch failed for 'torch.cat'; all __torch_function__ handlers"
    ):
        torch.cat([made(Kept, 1.0), made(Logged, 1.0)])


def test_those_who_refuse():
    r = made(Refusing, 1.0, 2.0)
    text = (
        r"Multiple dispatch failed for 'torch.Tensor.{}'; all __torch_function__ handlers returned "
        r"NotImplemented:\n\n"
    )
    for name, call in {
        "add": lambda: r + 1,
        "exp": lambda: r.exp(),
        "shape.__get__": lambda: r.shape,
        "__getitem__": lambda: r[0],
        "__len__": lambda: len(r),
    }.items():
        with pytest.raises(TypeError, match=text.format(name) + r"  - tensor subclass <class '.*Refusing'>"):
            call()
    text = (
        "no implementation found for 'torch.nn.functional.relu6' on types that implement __torch_function__: "
    )
    with pytest.raises(TypeError, match=text.replace("relu6", "relu")):
        functional.relu(r)
    with pytest.raises(TypeError, match=r"no implementation found for 'torch.add' on types that implement"):
        overrides.handle_torch_function(torch.add, (r,), r, r)
    assert torch.is_tensor(r) and r.as_subclass(torch.Tensor).tolist() == [1, 2]


BITS = {
    "and": (lambda a: a & 1, "__and__"),
    "rand": (lambda a: 1 & a, "bitwise_and"),
    "or": (lambda a: a | 1, "__or__"),
    "xor": (lambda a: a ^ 1, "__xor__"),
    "shift": (lambda a: a << 1, "__lshift__"),
    "rshift": (lambda a: 8 >> a, "__rrshift__"),
    "invert": (lambda a: ~a, "__invert__"),
    "and in place": (lambda a: operator.iand(a, 1), "__iand__"),
    "shift in place": (lambda a: operator.ilshift(a, 1), "__ilshift__"),
}


@pytest.mark.parametrize("name", BITS)
def test_operators_of_bits_are_shown_as_methods(name):
    call, shown = BITS[name]
    a = made(Logged, 1, 2)
    LOG.clear()
    result = call(a)
    assert LOG == [shown] and type(result) is Logged
    expected = call(torch.tensor([1, 2]))
    assert result.as_subclass(torch.Tensor).tolist() == expected.tolist()
    with Names() as mode:
        call(torch.tensor([1, 2]))
    assert mode.seen[-1] == shown


def test_objects_that_are_no_tensors():
    d = Duck()
    assert torch.add(d, 1) == ("add", (Duck,), 2, {}) and torch.cat([d]) == ("cat", (Duck,), 1, {})
    assert PLAIN.add(d) == ("add", (Duck,), 2, None)
    assert torch.sum(d, dim=0) == ("sum", (Duck,), 1, {"dim": 0})
    for result, name in (
        (PLAIN + d, "add"),
        (PLAIN.mul(d), "mul"),
        (PLAIN @ d, "matmul"),
        (PLAIN == d, "__eq__"),
        (PLAIN**d, "pow"),
        (torch.cat([PLAIN, d]), "cat"),
        (functional.relu(d), "relu"),
        (torch.zeros_like(d), "zeros_like"),
        (PLAIN[d], "__getitem__"),
    ):
        assert result[0] == name and result[1] == (Duck,)
    assert not torch.is_tensor(d) and overrides.is_tensor_like(d) and not overrides.is_tensor_like(3)
    with pytest.raises(
        TypeError, match=r"exp\(\): argument 'input' \(position 1\) must be Tensor, not object"
    ):
        torch.exp(object())


class Names(overrides.TorchFunctionMode):
    def __init__(self):
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_a_mode_sees_every_call():
    x = torch.ones(2, requires_grad=True)
    with Names() as mode:
        y = torch.zeros(2) + x
        z = functional.relu(y)[0] ** 2
        z.backward()
        _ = x.shape, len(x), x.grad, -x, x @ x, 1 - x, torch.tensor([1.0]), float(x[0])
    assert mode.seen == (
        "zeros add relu __getitem__ pow backward __get__ __len__ __get__ neg matmul __rsub__ tensor "
        "__getitem__ __float__".split()
    )
    assert x.grad.tolist() == [2, 0]
    x + 1
    assert len(mode.seen) == 15


def test_modes_nest_and_may_change_results():
    class Doubling(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            return result * 2 if func is torch.ones else result

    with Names() as outer, Doubling(), overrides.BaseTorchFunctionMode():
        assert torch.ones(1).item() == 2
    assert outer.seen == ["ones", "mul", "item"]
    with Names() as mode:
        with overrides.DisableTorchFunction():
            torch.ones(1)
        with overrides.DisableTorchFunctionSubclass():
            torch.zeros(1)
        assert type(made(Kept, 1.0) + 1) is Kept
    assert mode.seen == ["zeros", "tensor", "add"]


def test_a_mode_comes_before_classes_and_survives_errors():
    class First(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            LOG.append([t.__name__ for t in types])
            return NotImplemented if types else func(*args, **(kwargs or {}))

    a = made(Logged, 1.0)
    LOG.clear()
    with First():
        result = a + 1
    assert type(result) is Logged and LOG == [["Logged"], "add", []]
    with First():
        with pytest.raises(TypeError, match=r"Multiple dispatch failed for 'torch.add'(.|\n)*mode object"):
            torch.add(Other(), 1)

    class Failing(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), Failing():
        torch.ones(1)
    assert overrides._get_current_function_mode_stack() == []
    with pytest.raises(NotImplementedError), overrides.TorchFunctionMode():
        torch.ones(1)
    assert torch.ones(1).item() == 1
    with pytest.warns(UserWarning, match=r"`Mode.push\(\)` is no longer necessary"):
        assert isinstance(Names.push(), Names)


class Other:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


def test_modes_and_switches_belong_to_threads():
    seen = []

    def work():
        a = made(Logged, 1.0)
        LOG.clear()
        seen.append((type(a + 1).__name__, list(LOG)))

    with Names() as mode, overrides.DisableTorchFunctionSubclass():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert mode.seen == [] and seen == [("Logged", ["add"])]


def test_a_users_own_functions():
    @overrides.wrap_torch_function(lambda a, b=None: (a, b))
    def scale(a, b=None):
        return a * 2

    assert scale(PLAIN).tolist() == [2, 2] and scale(Duck())[0] == "scale"
    assert type(scale(made(Kept, 1.0))) is Kept
    with Names() as mode:
        scale(PLAIN)
    assert mode.seen == ["scale"]  # what it does in turn goes to the next mode out: there is none
    assert overrides.has_torch_function((3, made(Kept, 1.0)))
    assert not overrides.has_torch_function((PLAIN, torch.nn.Parameter(PLAIN), None))
    assert overrides.has_torch_function_unary(Duck()) and not overrides.has_torch_function_variadic(1, PLAIN)

    class Deep(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            LOG.append(func.__name__)
            with self:
                return overrides.redispatch_function(func, types, args, kwargs)

    with Deep():
        doubled = scale(PLAIN)
    assert LOG == ["scale", "mul"] and doubled.tolist() == [2, 2]


def test_reentrant_dispatch():
    class Reentrant(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            LOG.append(func.__name__)
            with overrides.DisableTorchFunctionSubclass():
                if func.__name__ == "mul":
                    with overrides.enable_reentrant_dispatch():
                        args[0] + 1
                return func(*args, **(kwargs or {}))

    r = made(Reentrant, 1.0)
    LOG.clear()
    assert type(r * 2) is torch.Tensor and LOG == ["mul", "add"]


def test_lists_of_what_can_be_overridden():
    table = overrides.get_overridable_functions()
    assert torch.add in table[torch] and functional.linear in table[functional]
    assert torch.Tensor.numpy in table[torch.Tensor] and len(table[torch]) > 200
    for f, name in (
        (torch.add, "torch.add"),
        (functional.relu, "torch.nn.functional.relu"),
        (torch.Tensor.numpy, "torch.Tensor.numpy"),
        (torch.Tensor.shape.__get__, "torch.Tensor.shape.__get__"),
        (torch.Tensor.__getitem__, "torch.Tensor.__getitem__"),
        (print, None),
        ([], None),
    ):
        assert overrides.resolve_name(f) == name
    assert overrides.is_tensor_method_or_property(torch.Tensor.sum)
    assert overrides.is_tensor_method_or_property(torch.Tensor.grad.__get__)
    assert not overrides.is_tensor_method_or_property(functional.linear)
    stubs = overrides.get_testing_overrides()
    assert set(table[functional]) <= set(stubs) and stubs[functional.linear](1, 2) == -1
    assert list(inspect.signature(stubs[torch.add]).parameters)[:2] == ["input", "other"]
    assert torch.manual_seed in overrides.get_ignored_functions()
    assert torch.Tensor.grad.__get__ in overrides.get_default_nowrap_functions()


def test_functions_stay_functions():
    f = functional.mse_loss
    assert f.__name__ == "mse_loss" and "reduction" in inspect.signature(f).parameters and f.__doc__
    assert pickle.loads(pickle.dumps(f)) is f and copy.deepcopy(f) is f
    assert torch.Tensor.numpy(PLAIN).tolist() == [1, 1] and PLAIN.numpy.__self__ is PLAIN
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        f.nothing  # noqa: B018


def test_errors_in_a_question_leave_the_switch_as_it_was():
    class Raising(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func.__name__ == "exp":
                raise KeyError("mine")
            return super().__torch_function__(func, types, args, kwargs)

    r = made(Raising, 1.0)
    with pytest.raises(KeyError):
        r.exp()
    with pytest.raises(RuntimeError):
        r.view(5)
    assert type(r * 2) is Raising


def test_questions_do_not_grow_memory():
    a = made(Logged, 1.0, 2.0)

    def round_():
        for _ in range(200):
            functional.relu(a * 2 + 1)[0]
            with Names():
                a.shape  # noqa: B018
        LOG.clear()

    round_()
    gc.collect()
    before = torch._core.allocator_statistics()["live_bytes"], len(gc.get_objects())
    gc.disable()
    try:
        round_()
        after = torch._core.allocator_statistics()["live_bytes"], len(gc.get_objects())
    finally:
        gc.enable()
    assert after[0] <= before[0] and after[1] - before[1] < 50
