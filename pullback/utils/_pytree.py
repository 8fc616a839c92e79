"""Nested containers of values, taken apart into a flat list of leaves and put together again.

The names and the registry are those of ``torch.utils._pytree``; None is a leaf, as there.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from typing import Any

__all__ = [
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
    "treespec_pprint",
]

_Kind = namedtuple("_Kind", "flatten unflatten")
_registry: dict[type, _Kind] = {}
_with_keys: dict = {}  # of classes of the user: x -> ([(key, child)], context)


def register_pytree_node(cls, flatten_fn, unflatten_fn, **options) -> None:
    """Makes a class a container: flatten_fn(x) -> (children, context), unflatten_fn(children, context) -> x.

    >>> from pullback.utils import _pytree as pytree
    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda c, _: Pair(*c))
    >>> pytree.tree_leaves(Pair(1, (2, 3)))
    [1, 2, 3]
    """
    if cls in _registry:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _registry[cls] = _Kind(flatten_fn, unflatten_fn)
    if options.get("flatten_with_keys_fn") is not None:
        _with_keys[cls] = options["flatten_with_keys_fn"]


_register_pytree_node = register_pytree_node

_registry[tuple] = _Kind(lambda x: (list(x), None), lambda c, _: tuple(c))
_registry[list] = _Kind(lambda x: (x, None), lambda c, _: list(c))
_registry[dict] = _Kind(
    lambda x: (list(x.values()), list(x)), lambda c, keys: dict(zip(keys, c, strict=True))
)
_registry[OrderedDict] = _Kind(
    lambda x: (list(x.values()), list(x)), lambda c, keys: OrderedDict(zip(keys, c, strict=True))
)
_registry[defaultdict] = _Kind(
    lambda x: (list(x.values()), [x.default_factory, list(x)]),
    lambda c, context: defaultdict(context[0], zip(context[1], c, strict=True)),
)
_registry[deque] = _Kind(lambda x: (list(x), x.maxlen), lambda c, maxlen: deque(c, maxlen=maxlen))
_NAMED = _Kind(lambda x: (list(x), type(x)), lambda c, cls: cls(*c))
_RESULT = _Kind(lambda x: (list(x), type(x)), lambda c, cls: cls(tuple(c)))


def _kind(x):
    """The container type that x counts as and its functions; None for a leaf."""
    cls = type(x)
    kind = _registry.get(cls)
    if kind is not None:
        return cls, kind
    if not isinstance(x, tuple):
        return None
    if hasattr(cls, "_fields"):
        return namedtuple, _NAMED
    return (cls, _RESULT) if cls.__module__.endswith("return_types") else None


@dataclass(init=True, frozen=True, eq=True, repr=False)
class TreeSpec:
    """The shape of a tree without its leaves. `type` is None for a leaf."""

    type: Any
    context: Any
    children_specs: list

    def __post_init__(self):
        children = self.children_specs
        leaves = 1 if self.type is None else sum([c.num_leaves for c in children])
        object.__setattr__(self, "num_leaves", leaves)
        # One container of nothing but leaves: the usual arguments and results.
        object.__setattr__(self, "_flat", leaves == len(children) and all(c.type is None for c in children))

    @property
    def num_children(self) -> int:
        return len(self.children_specs)

    def is_leaf(self) -> bool:
        return self.type is None

    def __repr__(self, indent: int = 0) -> str:
        if self.type is None:
            return "*"
        inner = indent + 2
        prefix = f"TreeSpec({self.type.__name__}, {self.context}, ["
        children = ""
        for k, child in enumerate(self.children_specs):
            children += (",\n" + " " * inner if k else "") + child.__repr__(inner)
        return prefix + children + "])"

    __str__ = __repr__

    def unflatten(self, leaves):
        return tree_unflatten(leaves, self)


LeafSpec = TreeSpec(None, None, [])


def tree_flatten(tree, is_leaf=None) -> tuple[list, TreeSpec]:
    """The leaves in order, and the structure around them."""
    if is_leaf is None:
        if _kind(tree) is None:
            return [tree], LeafSpec
        if _flat_tuple(tree) and len(tree) < len(_FLAT):
            return list(tree), _FLAT[len(tree)]
    leaves: list = []
    spec = _flatten(tree, leaves, is_leaf)
    return leaves, spec


def _flatten(tree, leaves, is_leaf):
    found = None if is_leaf is not None and is_leaf(tree) else _kind(tree)
    if found is None:
        leaves.append(tree)
        return LeafSpec
    cls, kind = found
    children, context = kind.flatten(tree)
    return TreeSpec(cls, context, [_flatten(c, leaves, is_leaf) for c in children])


def _flat_tuple(tree):
    """Whether a tree is a tuple of leaves: the usual arguments and results."""
    return type(tree) is tuple and all(_kind(x) is None for x in tree)


_FLAT = [TreeSpec(tuple, None, [LeafSpec] * n) for n in range(16)]


def tree_unflatten(leaves, treespec):
    """The tree of a structure with the given leaves.

    Errors    TypeError for something that is no structure, ValueError for a wrong number of leaves
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            "tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but got item "
            f"of type {type(treespec)}."
        )
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec refers to a "
            f"pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    if treespec.type is None:
        return leaves[0]
    return _filled(treespec, leaves) if treespec._flat else _unflatten(iter(leaves), treespec)


def _unflatten(leaves, spec):
    if spec.type is None:
        return next(leaves)
    return _filled(spec, [_unflatten(leaves, c) for c in spec.children_specs])


def _filled(spec, children):
    """The container that a structure describes around its children."""
    kind = _registry.get(spec.type)
    if kind is None:
        kind = _NAMED if spec.type is namedtuple else _RESULT
    return kind.unflatten(children, spec.context)


def tree_leaves(tree, is_leaf=None) -> list:
    """The leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree, is_leaf=None):
    """The leaves, one by one."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree, is_leaf=None) -> TreeSpec:
    """The structure without the leaves."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func, tree, *rests, is_leaf=None):
    """func applied to each leaf (and to the leaves at the same places of further trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_flatten_up_to(r, spec) for r in rests]
    return tree_unflatten([func(*xs) for xs in zip(leaves, *others, strict=True)], spec)


def _flatten_up_to(tree, spec):
    """The subtrees of a tree where a structure has its leaves."""
    if spec.type is None:
        return [tree]
    found = _kind(tree)
    if found is None or found[0] is not spec.type:
        raise ValueError(f"Node type mismatch; expected {spec.type}, but got {type(tree)}.")
    children, context = found[1].flatten(tree)
    if len(children) != spec.num_children:
        raise ValueError(f"Node arity mismatch; expected {spec.num_children}, but got {len(children)}.")
    if spec.type in (dict, OrderedDict):  # by their keys, in whatever order
        if set(context) != set(spec.context):
            raise ValueError(f"Node keys mismatch; expected {spec.context}, but got {context}.")
        children = [tree[key] for key in spec.context]
    out: list = []
    for child, part in zip(children, spec.children_specs, strict=True):
        out += _flatten_up_to(child, part)
    return out


def tree_map_(func, tree, *rests, is_leaf=None):
    """Like tree_map, for what func does; the tree itself is returned."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(types, func, tree, is_leaf=None):
    """func applied to the leaves of some types; the others stay."""
    return tree_map(lambda x: func(x) if isinstance(x, types) else x, tree, is_leaf=is_leaf)


def tree_all(pred, tree, is_leaf=None) -> bool:
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred, tree, is_leaf=None) -> bool:
    return any(map(pred, tree_iter(tree, is_leaf)))


def treespec_pprint(treespec) -> str:
    """The structure with a star for each leaf."""
    return repr(tree_unflatten(["*"] * treespec.num_leaves, treespec)).replace("'*'", "*")


def broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """A prefix of a structure spread over its leaves; None where it does not fit."""
    found = None if is_leaf is not None and is_leaf(tree) else _kind(tree)
    if found is None:
        return [tree] * treespec.num_leaves
    if treespec.type is None:
        return None
    cls, kind = found
    children, context = kind.flatten(tree)
    if cls is not treespec.type or context != treespec.context or len(children) != treespec.num_children:
        return None
    out: list = []
    for child, spec in zip(children, treespec.children_specs, strict=True):
        part = broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        out += part
    return out


_broadcast_to_and_flatten = broadcast_to_and_flatten
