"""Forward mode by hand, what tensors inside transformations look like, and trees."""

from collections import OrderedDict, defaultdict, deque

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, jvp, vmap
from pullback.utils import _pytree as pytree

X = torch.tensor([1.0, 2.0, 3.0])
T = torch.tensor([1.0, 0.0, -1.0])


def test_duals():
    with fwAD.dual_level():
        d = fwAD.make_dual(X, T)
        value, tangent = fwAD.unpack_dual(d.exp() * d)
        assert torch.allclose(tangent, (X + 1) * X.exp() * T) and torch.equal(value, X.exp() * X)
        assert fwAD.unpack_dual(X).tangent is None
        assert fwAD.unpack_dual(d.detach()).tangent is None
        assert fwAD.unpack_dual(d[1:]).tangent.tolist() == [0, -1]
        assert fwAD.unpack_dual(d > 2).tangent is None
    assert fwAD.unpack_dual(d).tangent is None and torch.equal(d * 1, X)


def test_duals_that_require_grad():
    with fwAD.dual_level():
        d = fwAD.make_dual(X, T).requires_grad_()
        assert d.requires_grad and d.is_leaf
        y = (d**3).sum()
        found = torch.autograd.grad(y, d, create_graph=True)
        assert type(found) is tuple
        (g,) = found
        assert torch.equal(fwAD.unpack_dual(g).primal, 3 * X**2)
        assert torch.equal(fwAD.unpack_dual(g).tangent, 6 * X * T)
        assert fwAD.unpack_dual(y).tangent.item() == (3 * X**2 * T).sum().item()
    w = X.clone().requires_grad_()
    with fwAD.dual_level():
        tangent = fwAD.unpack_dual(fwAD.make_dual(w, T) ** 2).tangent
    assert torch.equal(torch.autograd.grad(tangent.sum(), w)[0], 2 * T)


def test_levels_close_on_errors():
    with pytest.raises(ZeroDivisionError), fwAD.dual_level():
        raise ZeroDivisionError
    assert fwAD.enter_dual_level() == 0
    fwAD.exit_dual_level()


def shown(transformed, *args):
    seen = []
    transformed(lambda x: (seen.append(repr(x)), x.sum())[1])(*args)
    return seen[-1]


BATCH = "BatchedTensor(lvl={}, bdim=0, value=\n    {}\n)"
GRAD = "GradTrackingTensor(lvl={}, value=\n    {}\n)"


def indented(text):
    return text.replace("\n", "\n    ")


def test_text_inside_transformations():
    m = torch.ones(2, 1)
    inner = "tensor([[1.],\n            [1.]])"
    assert shown(vmap, m) == BATCH.format(1, inner)
    assert shown(grad, X) == GRAD.format(1, "tensor([1., 2., 3.])")
    nested = shown(lambda f: vmap(grad(f)), m)
    assert nested == GRAD.format(2, indented(BATCH.format(1, inner)))
    nested = shown(lambda f: grad(lambda x: vmap(f)(x).sum()), m)
    assert nested == BATCH.format(2, indented(GRAD.format(1, inner)))
    nested = shown(lambda f: lambda x, t: jvp(f, (x,), (t,)), X, T)
    assert nested == GRAD.format(1, "tensor([1., 2., 3.])")


def test_trees():
    Point = __import__("collections").namedtuple("Point", "x y")
    tree = {
        "b": (1, [2, None]),
        "a": Point(3, OrderedDict(z=4)),
        "d": deque([5]),
        "e": defaultdict(list, q=6),
    }
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, None, 3, 4, 5, 6] and spec.num_leaves == 7 and spec.num_children == 4
    assert pytree.tree_unflatten(leaves, spec) == tree
    doubled = pytree.tree_map(lambda x: x and x * 2, tree)
    assert type(doubled["a"]).__name__ == "Point" and doubled["a"].x == 6
    assert type(doubled["e"]) is defaultdict
    assert pytree.tree_map(lambda a, b: a + b, {"x": 1, "y": 2}, {"y": 10, "x": 20}) == {"x": 21, "y": 12}
    assert pytree.tree_map(lambda a, b: (a, b), [1, 2], [(3, 4), 5]) == [(1, (3, 4)), (2, 5)]
    assert pytree.tree_all(bool, (1, [2])) and not pytree.tree_any(bool, (0, [0]))
    assert pytree.tree_map_only(int, str, (1, 2.0)) == ("1", 2.0)
    assert repr(pytree.tree_structure((1, [2]))) == "TreeSpec(tuple, None, [*,\n  TreeSpec(list, None, [*])])"


def test_numbers_of_levels():
    make, unpack, leave = fwAD.make_dual, fwAD.unpack_dual, fwAD.exit_dual_level
    with fwAD.dual_level():
        for level in (None, 0, torch.tensor(0)):
            d = make(X, T, level=level)
            assert unpack(d, level=level).tangent is not None
        assert unpack(d, level=-1).tangent is None and unpack(d, level=-1).primal is d
        assert unpack(X, level=2).tangent is None
        for level, kind, text in (
            (1, RuntimeError, "Invalid level given to {}"),
            (1.5, TypeError, r"{}\(\): argument 'level' must be int, not float"),
            (True, TypeError, r"{}\(\): argument 'level' must be int, not bool"),
            ("a", TypeError, "'<' not supported between instances of 'str' and 'int'"),
        ):
            names = ("_make_dual", "_fw_primal" if kind is RuntimeError else "_unpack_dual")
            with pytest.raises(kind, match="^" + text.format(names[0])):
                make(X, T, level=level)
            with pytest.raises(kind, match="^" + text.format(names[1])):
                unpack(d, level=level)
        with pytest.raises(RuntimeError, match=r"^Trying to create a dual Tensor for forward AD but no"):
            make(X, T, level=-1)
        for level in (1, -1, "a"):
            with pytest.raises(RuntimeError, match=r"^Trying to exit a forward AD level that was not"):
                leave(level=level)
        assert unpack(make(X, T)).tangent is not None  # it is still open
    assert unpack(X, level=2).tangent is None
    for level, text in (
        (0, "Trying to access a forward AD level with an invalid index"),
        (1, "Invalid level given to _make_dual"),
        (None, "Trying to create a dual Tensor for forward AD but no level exists"),
    ):
        with pytest.raises(RuntimeError, match="^" + text):
            make(X, T, level=level)
    for level, text in ((0, "Trying to exit a forward AD level that"), (-1, "Dual level must be a positive")):
        with pytest.raises(RuntimeError, match="^" + text):
            leave(level=level)
