"""utils._pytree: dataclasses and constants as containers, structures as text."""

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

import pullback as torch
from pullback.utils import _pytree as pytree


@dataclasses.dataclass
class Point:
    x: object
    y: object = 3
    seen: int = dataclasses.field(default=7, init=False)


@dataclasses.dataclass
class Known:
    x: object
    y: object = 4


@dataclasses.dataclass
class Part:
    x: object
    y: object = 4


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str


class Bare:
    pass


class Equal:
    def __eq__(self, other):
        return True


Pair, Other = namedtuple("Pair", "a b"), namedtuple("Other", "a b")
pytree.register_dataclass(Point)
pytree.register_dataclass(Point)  # once more changes nothing
pytree.register_dataclass(Known, serialized_type_name="Known")
pytree.register_dataclass(Part, field_names=["x"], drop_field_names=["y"])
pytree.register_constant(Setting)
pytree.register_constant(Setting)
pytree._register_namedtuple(Pair, serialized_type_name="Pair")


def test_dataclasses():
    point = Point(torch.ones(2), [1, 2])
    leaves, spec = pytree.tree_flatten(point)
    assert len(leaves) == 3 and spec.context == [["x", "y"], []]
    assert pytree.tree_map(lambda v: v + 1, Point(1, [1, 2])) == Point(2, [2, 3])
    assert [pytree.keystr(k) for k, _ in pytree.tree_flatten_with_path(point)[0]] == [".x", ".y[0]", ".y[1]"]
    leaves, spec = pytree.tree_flatten(Point(1, None))
    assert leaves == [1] and spec.context == [["x"], ["y"]]
    assert pytree.tree_unflatten([5], spec) == Point(5, None)
    assert pytree.tree_map(lambda v: v + 1, Part(1, 9)) == Part(2)
    assert torch.func.vmap(lambda p: p.x * p.y)(Point(torch.ones(2), torch.ones(2))).tolist() == [1, 1]


def test_what_cannot_be_registered():
    with pytest.raises(ValueError, match=r"^field_names must be specified with a list of all fields used to"):
        pytree.register_dataclass(Bare)
    with pytest.raises(ValueError, match=r"^field_names does not include all dataclass fields\."):
        pytree.register_dataclass(Part, field_names=["x"])
    for cls, method in ((Bare, "__eq__"), (Equal, "__hash__")):
        with pytest.raises(TypeError, match=f"expects `cls` to have a non-default `{method}` implementation"):
            pytree.register_constant(cls)


def test_constants():
    leaves, spec = pytree.tree_flatten((Setting("a"), 2))
    assert leaves == [2] and pytree.tree_unflatten([3], spec) == (Setting("a"), 3)
    assert pytree.tree_structure(Setting("a")) == pytree.tree_structure(Setting("a"))
    assert pytree.tree_structure(Setting("a")) != pytree.tree_structure(Setting("b"))
    assert repr(pytree.tree_structure(Setting("a"))) == (
        "TreeSpec(Setting, ConstantNode(value=Setting(name='a')), [])"
    )
    assert [pytree.keystr(k) for k, _ in pytree.tree_flatten_with_path((Setting("a"), 2))[0]] == ["[1]"]
    assert pytree.is_constant_class(Setting) and not pytree.is_constant_class(Point)


LEAF = '{"type": null, "context": null, "children_spec": []}'


@pytest.mark.parametrize(
    "tree, text",
    [
        (1, "*"),
        ((1, 2), '{"type": "builtins.tuple", "context": "null", "children_spec": [*, *]}'),
        ([1], '{"type": "builtins.list", "context": "null", "children_spec": [*]}'),
        ({"a": 1}, '{"type": "builtins.dict", "context": "[\\"a\\"]", "children_spec": [*]}'),
        (OrderedDict(), '{"type": "collections.OrderedDict", "context": "[]", "children_spec": []}'),
        (deque([1], 3), '{"type": "collections.deque", "context": "3", "children_spec": [*]}'),
        (
            defaultdict(list, a=1),
            '{"type": "collections.defaultdict", "context": {"default_factory_module": "builtins", '
            '"default_factory_name": "list", "dict_context": ["a"]}, "children_spec": [*]}',
        ),
        (Known(1), '{"type": "Known", "context": "[[\\"x\\", \\"y\\"], []]", "children_spec": [*, *]}'),
        (Pair(1, [2]), None),
    ],
)  # fmt: skip
def test_structures_as_text(tree, text):
    spec = pytree.tree_structure(tree)
    written = pytree.treespec_dumps(spec)
    assert text is None or written == "[1, {}]".format(text.replace("*", LEAF))
    assert pytree.treespec_loads(written) == spec and pytree.treespec_dumps(spec, 1) == written


@pytest.mark.parametrize(
    "call, kind, text",
    [
        (
            lambda: pytree.treespec_dumps(3),
            TypeError,
            "Expected `treespec` to be an instance of PyTreeSpec but",
        ),
        (
            lambda: pytree.treespec_dumps(pytree.LeafSpec, 5),
            ValueError,
            "Unknown protocol 5. Available protocols:",
        ),
        (
            lambda: pytree.treespec_loads("[2, {}]"),
            ValueError,
            "Unknown protocol 2. Available protocols: [1]",
        ),
        (
            lambda: pytree.treespec_loads('[1, {"type": "a.b", "context": "null", "children_spec": []}]'),
            NotImplementedError,
            "Deserializing a.b in pytree is not registered.",
        ),
        (
            lambda: pytree.treespec_loads(
                '[1, {"type": "collections.namedtuple", "context": "\\"No\\"", "children_spec": []}]'
            ),
            NotImplementedError,
            "Can't deserialize TreeSpec of namedtuple class No",
        ),
        (
            lambda: pytree.treespec_dumps(pytree.tree_structure(Point(1))),
            NotImplementedError,
            "No registered serialization name for <class",
        ),
        (
            lambda: pytree.treespec_dumps(pytree.tree_structure(Other(1, 2))),
            NotImplementedError,
            "Can't serialize TreeSpec of namedtuple class <class",
        ),
        (lambda: pytree.nothing_such, AttributeError, "module 'pullback.utils._pytree' has no attribute"),
    ],
)
def test_what_is_no_text(call, kind, text):
    with pytest.raises(kind) as e:
        call()
    assert str(e.value).startswith(text)
