"""utils._pytree: paths, leaves of some types, kinds of containers."""

import time
from collections import OrderedDict, deque, namedtuple

import pytest

from pullback.utils import _pytree as pytree

Pair = namedtuple("Pair", "a b")
TREE = {"x": (1, [2.0, None]), "y": Pair(3, OrderedDict(k="s")), "z": deque([4])}


def test_paths():
    pairs, spec = pytree.tree_flatten_with_path(TREE)
    assert [pytree.keystr(p) for p, _ in pairs] == [
        "['x'][0]",
        "['x'][1][0]",
        "['x'][1][1]",
        "['y'].a",
        "['y'].b['k']",
        "['z'][0]",
    ]
    assert (
        [leaf for _, leaf in pairs] == pytree.tree_leaves(TREE) == [pytree.key_get(TREE, p) for p, _ in pairs]
    )
    assert spec == pytree.tree_structure(TREE)
    named = pytree.tree_map_with_path(lambda path, a, b: (len(path), a, b), [1, (2,)], [3, (4,)])
    assert named == [(1, 1, 3), ((2, 2, 4),)]
    assert pytree.tree_leaves_with_path((1,), is_leaf=lambda x: True) == [((), (1,))]
    assert pytree.tree_leaves_with_path(5) == [((), 5)]
    assert pytree.SequenceKey(0) == pytree.SequenceKey(0) and hash(pytree.MappingKey("a"))


def test_paths_through_classes_of_the_user():
    class Box:
        def __init__(self, a):
            self.a = a

    class Plain(Box):
        pass

    with_keys = lambda box: ([(pytree.GetAttrKey("a"), box.a)], None)  # noqa: E731
    flatten, unflatten = (lambda box: ([box.a], None)), (lambda children, _: Box(*children))
    pytree.register_pytree_node(Box, flatten, unflatten, flatten_with_keys_fn=with_keys)
    pytree.register_pytree_node(Plain, flatten, unflatten)
    assert [pytree.keystr(p) for p, _ in pytree.tree_leaves_with_path([Box({"k": 1})])] == ["[0].a['k']"]
    with pytest.raises(ValueError, match="Did not find a flatten_with_keys_fn for type"):
        pytree.tree_leaves_with_path(Plain(1))


def test_leaves_of_some_types():
    assert pytree.tree_map(pytree.map_only((int, float))(lambda n: n + 1), [1, 1.5, "a"]) == [2, 2.5, "a"]
    assert pytree.tree_map(pytree.map_only(lambda n: n == 1)(str), [1, 2]) == ["1", 2]
    seen = []
    tree = [1, "a"]
    assert pytree.tree_map_only_(int, seen.append, tree) is tree and seen == [1]
    assert pytree.tree_all_only(int, lambda n: n > 0, [1, 2, "a"])
    assert pytree.tree_any_only(int, lambda n: n > 1, [1, 2, "a"])
    assert not pytree.tree_any_only(int, lambda n: n > 2, [1, 2, "a"])
    assert pytree.arg_tree_leaves(1, [2], k=(3,)) == [1, 2, 3]


def test_kinds():
    assert pytree.tree_is_leaf(1) and pytree.tree_is_leaf(None) and not pytree.tree_is_leaf([1])
    assert pytree.tree_is_leaf((1,), is_leaf=lambda x: True)
    assert pytree.is_namedtuple(Pair) and pytree.is_namedtuple(Pair(1, 2)) and not pytree.is_namedtuple((1,))
    assert pytree.is_namedtuple_instance(Pair(1, 2)) and not pytree.is_namedtuple_instance(Pair)
    now = time.localtime()
    assert pytree.is_structseq(now) and pytree.is_structseq_class(type(now)) and not pytree.is_structseq(Pair)
    leaf = pytree.treespec_leaf()
    assert pytree.treespec_tuple([leaf, leaf]) == pytree.tree_structure((1, 2))
    assert pytree.treespec_dict(a=leaf) == pytree.tree_structure({"a": 1})
    for wrong in (lambda: pytree.treespec_tuple([1]), lambda: pytree.treespec_dict(a=1)):
        with pytest.raises(ValueError, match=r"Expected a (tuple|dictionary) of TreeSpec values, got: "):
            wrong()


def test_a_class_may_become_a_container_after_its_values_were_leaves():
    class Late:
        def __init__(self, *children):
            self.children = children

    assert pytree.tree_leaves([Late(1, 2), 3])[1:] == [3]
    assert len(pytree.tree_leaves((Late(1, 2),))) == 1
    pytree.register_pytree_node(Late, lambda x: (iter(x.children), None), lambda c, _: Late(*c))
    assert pytree.tree_leaves([Late(1, (2, 4)), 3]) == [1, 2, 4, 3]
    assert pytree.tree_leaves((Late(1, 2),)) == [1, 2]
    assert pytree.tree_map(lambda x: x + 1, (Late(1, 2), 5))[0].children == (2, 3)


def test_structures_are_equal_however_they_were_made():
    flat = pytree.tree_flatten({"a": 1, "b": 2})[1]
    assert flat == pytree.treespec_dict(a=pytree.treespec_leaf(), b=pytree.treespec_leaf())
    assert flat != pytree.tree_flatten({"a": 1, "b": (2,)})[1]
    assert pytree.tree_flatten((1, (2, 3)))[1].children_specs[1] == pytree.tree_flatten((0, 0))[1]


def test_containers_that_hold_themselves_or_are_deep():
    ring, table = [], {}
    ring.append(ring)
    table["x"] = table
    deep = spec = pytree.treespec_leaf()
    for _ in range(100000):
        deep, spec = (deep,), pytree.treespec_tuple([spec])
    for tree in (ring, table, (ring,), deep):
        with pytest.raises(RecursionError):
            pytree.tree_flatten(tree)
    with pytest.raises(RecursionError):
        pytree.tree_unflatten([1], spec)
    with pytest.raises(RecursionError):
        pytree.broadcast_to_and_flatten(deep, spec)


def test_structures_that_were_changed_by_hand():
    spec = pytree.tree_structure((1, [2]))
    spec.children_specs.append(pytree.treespec_leaf())
    with pytest.raises(IndexError):
        pytree.tree_unflatten([1, 2], spec)
    leaf = pytree.treespec_leaf()
    with pytest.raises(ValueError):
        pytree.tree_unflatten([1], pytree.TreeSpec(dict, ["a", "b"], [leaf]))
    assert pytree.tree_unflatten([1], pytree.TreeSpec(dict, ("a",), [leaf])) == {"a": 1}


def test_prefixes():
    tree = {"a": 1, "b": [2, Pair(3, 4)]}
    spec = pytree.tree_structure((tree, 5))
    assert pytree.broadcast_to_and_flatten(0, spec) == [0] * 5
    assert pytree.broadcast_to_and_flatten((None, 1), spec) == [None] * 4 + [1]
    prefix = ({"a": 1, "b": [2, Pair(3, None)]}, 0)
    assert pytree.broadcast_to_and_flatten(prefix, spec) == [1, 2, 3, None, 0]
    wrong = [(0,), (0, 0, 0), [0, 0], (0, (0,)), ({"a": 0}, 0), ({"a": 0, "b": [0]}, 0)]
    assert [pytree.broadcast_to_and_flatten(p, spec) for p in wrong] == [None] * len(wrong)
