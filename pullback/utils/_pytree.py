"""Nested containers of values, taken apart into a flat list of leaves and put together again.

The names and the registry are those of ``torch.utils._pytree``; None is a leaf, as there.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pullback import _core

__all__ = [
    "Context",
    "PyTree",
    "PyTreeSpec",
    "TreeSpec",
    "is_namedtuple",
    "is_namedtuple_class",
    "is_namedtuple_instance",
    "is_structseq",
    "is_structseq_class",
    "is_structseq_instance",
    "key_get",
    "keystr",
    "register_constant",  # noqa: F822
    "register_dataclass",  # noqa: F822
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_dumps",  # noqa: F822
    "treespec_loads",  # noqa: F822
    "treespec_pprint",
]

_WAITING = frozenset(
    "is_constant_class register_constant register_dataclass treespec_dumps treespec_loads "
    "_register_namedtuple".split()
)


def __getattr__(name):  # imported where somebody asks for them
    if name not in _WAITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pullback.utils._pytree_registration"), name)


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
    if options.get("serialized_type_name") is not None:
        from pullback.utils._pytree_registration import add_text

        texts = (options.get(f"{way}_dumpable_context") for way in ("to", "from"))
        add_text(cls, options["serialized_type_name"], *texts)


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


@dataclass(init=False, frozen=True, eq=True, repr=False)
class TreeSpec:
    """The shape of a tree without its leaves. `type` is None for a leaf."""

    type: Any
    context: Any
    children_specs: list

    def __init__(self, type, context, children_specs):
        leaves = 1 if type is None else sum(c.num_leaves for c in children_specs)
        self.__dict__.update(type=type, context=context, children_specs=children_specs, num_leaves=leaves)

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
    leaves: list = []
    if is_leaf is None:
        return leaves, _core.flatten_tree(tree, leaves)
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree, leaves, is_leaf=None):
    """The structure of a tree whose leaves join a list. Tuples, lists and dicts never come here without
    is_leaf."""
    found = None if is_leaf is not None and is_leaf(tree) else _kind(tree)
    if found is None:
        leaves.append(tree)
        return LeafSpec
    cls, kind = found
    children, context = kind.flatten(tree)
    if is_leaf is None:
        return TreeSpec(cls, context, [_core.flatten_tree(c, leaves) for c in children])
    return TreeSpec(cls, context, [_flatten(c, leaves, is_leaf) for c in children])


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
    return _core.fill_tree(treespec, leaves)


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
    if is_leaf is None:
        return _core.spread_tree(tree, treespec)
    return _spread(tree, treespec, is_leaf)


def _spread(tree, treespec, is_leaf=None):
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


_core.set_tree_module(TreeSpec, LeafSpec, _registry, _flatten, _filled, _spread)
_broadcast_to_and_flatten = broadcast_to_and_flatten


# ---- kinds of tuples and of structures ---------------------------------------------------------------------


def is_namedtuple_class(cls) -> bool:
    """Whether a class is a namedtuple, or derived from one."""
    fields = getattr(cls, "_fields", None)
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(fields, tuple)


def is_namedtuple_instance(obj) -> bool:
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj) -> bool:
    """Whether a value or a class is a namedtuple."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_structseq_class(cls) -> bool:
    """Whether a class is one of Python's own named sequences, as time.struct_time."""
    is_tuple = isinstance(cls, type) and cls.__bases__ == (tuple,)
    return is_tuple and isinstance(getattr(cls, "n_sequence_fields", None), int)


def is_structseq_instance(obj) -> bool:
    return is_structseq_class(type(obj))


def is_structseq(obj) -> bool:
    """Whether a value or a class is one of Python's own named sequences."""
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


def tree_is_leaf(tree, is_leaf=None) -> bool:
    """Whether this is no container."""
    return bool(is_leaf is not None and is_leaf(tree)) or _kind(tree) is None


def treespec_leaf() -> TreeSpec:
    return LeafSpec


def treespec_tuple(iterable=()) -> TreeSpec:
    """The structure of a tuple, from those of its entries."""
    children = list(iterable)
    if any(not isinstance(child, TreeSpec) for child in children):
        raise ValueError(f"Expected a tuple of TreeSpec values, got: {children!r}.")
    return TreeSpec(tuple, None, children)


def treespec_dict(mapping=(), **more) -> TreeSpec:
    """The structure of a dict, from those of its values."""
    specs = dict(mapping, **more)
    if any(not isinstance(child, TreeSpec) for child in specs.values()):
        raise ValueError(f"Expected a dictionary of TreeSpec values, got: {specs!r}.")
    return TreeSpec(dict, list(specs), list(specs.values()))


# ---- leaves of some types ----------------------------------------------------------------------------------


def map_only(types):
    """Decorates a function of a leaf: leaves of other types (or that a predicate refuses) stay.

    >>> from pullback.utils import _pytree as pytree
    >>> pytree.tree_map(pytree.map_only(int)(lambda n: n + 1), [1, "a"])
    [2, 'a']
    """
    is_types = isinstance(types, (type, tuple)) or not callable(types)
    takes = (lambda x: isinstance(x, types)) if is_types else types
    return lambda func: lambda x: func(x) if takes(x) else x


def tree_map_only_(types, func, tree, is_leaf=None):
    """Like tree_map_only, for what func does; the tree itself is returned."""
    tree_map_only(types, func, tree, is_leaf)
    return tree


def tree_all_only(types, pred, tree, is_leaf=None) -> bool:
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, types))


def tree_any_only(types, pred, tree, is_leaf=None) -> bool:
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, types))


def arg_tree_leaves(*args, **kwargs) -> list:
    """The leaves of positional and keyword arguments."""
    return tree_leaves((args, kwargs))


# ---- paths: how to reach a leaf ----------------------------------------------------------------------------


@dataclass(frozen=True)
class SequenceKey:
    """An entry of a tuple, a list or a deque."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence):
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """A value of a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping):
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """A field of a namedtuple, or an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj):
        return getattr(obj, self.name)


def _keyed_children(tree, cls, kind):
    """[(key, child)] of a container."""
    if cls in _with_keys:
        return _with_keys[cls](tree)[0]
    children = kind.flatten(tree)[0]
    if kind is _NAMED or kind is _RESULT:
        names = getattr(tree, "_fields", None)
        keys = map(SequenceKey, range(len(children))) if names is None else map(GetAttrKey, names)
        return zip(keys, children, strict=True)
    if cls in (dict, OrderedDict, defaultdict):
        return zip(map(MappingKey, tree), children, strict=True)
    if cls in (tuple, list, deque):
        return zip(map(SequenceKey, range(len(children))), children, strict=True)
    raise ValueError(
        f"Did not find a flatten_with_keys_fn for type: {cls}. "
        "Please pass a flatten_with_keys_fn argument to register_pytree_node."
    )


def _paths(path, tree, is_leaf):
    found = None if is_leaf is not None and is_leaf(tree) else _kind(tree)
    if found is None:
        yield path, tree
        return
    for key, child in _keyed_children(tree, *found):
        yield from _paths((*path, key), child, is_leaf)


def tree_leaves_with_path(tree, is_leaf=None) -> list:
    """[(path, leaf)] in order; a path is a tuple of keys.

    >>> from pullback.utils import _pytree as pytree
    >>> [(pytree.keystr(path), leaf) for path, leaf in pytree.tree_leaves_with_path({"a": [1, 2]})]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return list(_paths((), tree, is_leaf))


def tree_flatten_with_path(tree, is_leaf=None):
    """([(path, leaf)], the structure around the leaves)."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func, tree, *rests, is_leaf=None):
    """func(path, leaf, ...) for each leaf, and the leaves at the same places of further trees."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    others = [_flatten_up_to(r, spec) for r in rests]
    return tree_unflatten([func(path, *xs) for (path, *xs) in _joined(pairs, others)], spec)


def _joined(pairs, others):
    return [(*pair, *xs) for pair, *xs in zip(pairs, *others, strict=True)]


def keystr(path) -> str:
    """A path as text."""
    return "".join(map(str, path))


def key_get(obj, path):
    """What a path leads to."""
    for key in path:
        obj = key.get(obj)
    return obj


PyTree = Context = KeyEntry = Any
PyTreeSpec = TreeSpec
