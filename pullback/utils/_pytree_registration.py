"""Classes as containers by what they declare, and structures as text: the rarer half of `_pytree`."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

from pullback.utils import _pytree as pytree

_PROTOCOL = 1


# ---- dataclasses and constants ----


def register_dataclass(cls, *, field_names=None, drop_field_names=None, serialized_type_name=None) -> None:
    """Makes a dataclass a container of its fields; those that are None belong to the structure.

    Errors    ValueError for a class that is no dataclass (then `field_names` must tell the fields), and for
              names that are not all of them

    >>> import dataclasses
    >>> from pullback.utils import _pytree as pytree
    >>> @dataclasses.dataclass
    ... class Point:
    ...     x: int
    ...     y: int
    >>> pytree.register_dataclass(Point)
    >>> pytree.tree_map(lambda v: v + 1, Point(1, 2)).y
    3
    """
    declared = isinstance(cls, type) and dataclasses.is_dataclass(cls)
    if field_names is None and not declared:
        raise ValueError(
            f"field_names must be specified with a list of all fields used to initialize {cls}, as it is not "
            "a dataclass."
        )
    fields = {f.name for f in dataclasses.fields(cls) if f.init} if declared else None
    names = [f.name for f in dataclasses.fields(cls) if f.init] if field_names is None else list(field_names)
    if fields is not None and field_names is not None and fields != {*names, *(drop_field_names or ())}:
        raise ValueError(
            "field_names does not include all dataclass fields.\n"
            f"Those are {sorted(fields)}; leave some out by drop_field_names."
        )

    def present(x):
        return [(name, getattr(x, name)) for name in names if getattr(x, name) is not None]

    def context(x):
        return [[name for name, _ in present(x)], [name for name in names if getattr(x, name) is None]]

    def build(children, context):
        given, empty = context
        return cls(**dict(zip(given, children, strict=True)), **dict.fromkeys(empty))

    if cls not in pytree._registry:
        pytree.register_pytree_node(
            cls,
            lambda x: ([value for _, value in present(x)], context(x)),
            build,
            serialized_type_name=serialized_type_name,
            flatten_with_keys_fn=lambda x: (
                [(pytree.GetAttrKey(name), value) for name, value in present(x)],
                context(x),
            ),
        )


@dataclasses.dataclass(frozen=True)
class ConstantNode:
    """What a structure holds in the place of a constant."""

    value: Any


_constants: set = set()


def register_constant(cls) -> None:
    """Makes the instances of a class part of the structure: they are no leaves.

    Errors    TypeError for a class that has no __eq__ and __hash__ of its own

    >>> import dataclasses
    >>> from pullback.utils import _pytree as pytree
    >>> @dataclasses.dataclass(frozen=True)
    ... class Setting:
    ...     name: str
    >>> pytree.register_constant(Setting)
    >>> pytree.tree_leaves((Setting("a"), 1))
    [1]
    """
    if cls.__eq__ is object.__eq__:
        raise TypeError("register_constant(cls) expects `cls` to have a non-default `__eq__` implementation.")
    if cls.__hash__ is None or cls.__hash__ is object.__hash__:
        raise TypeError(
            "register_constant(cls) expects `cls` to have a non-default `__hash__` implementation."
        )
    if cls in _constants:
        return
    flat = lambda x: ([], ConstantNode(x))  # noqa: E731
    pytree.register_pytree_node(cls, flat, lambda _, node: node.value, flatten_with_keys_fn=flat)
    _constants.add(cls)


def is_constant_class(cls) -> bool:
    """Whether register_constant() was called for a class."""
    return isinstance(cls, type) and cls in _constants


# ---- structures as text ----

_Text = namedtuple("_Text", "name dump load")
_texts: dict[type, _Text] = {}
_named: dict[type, str] = {}  # namedtuples


def add_text(cls, name, dump=None, load=None) -> None:
    """How a registered class stands in the text of a structure: its name, and its context as JSON."""
    _texts[cls] = _Text(name, dump or json.dumps, load or json.loads)


def _register_namedtuple(cls, *, serialized_type_name) -> None:
    _named[cls] = serialized_type_name


def _dump_factory(context):
    factory, keys = context
    return {
        "default_factory_module": factory.__module__,
        "default_factory_name": factory.__qualname__,
        "dict_context": keys,
    }


def _load_factory(text):
    module = importlib.import_module(text["default_factory_module"])
    return [getattr(module, text["default_factory_name"]), text["dict_context"]]


def _dump_named(cls):
    if cls not in _named:
        raise NotImplementedError(
            f"Can't serialize TreeSpec of namedtuple class {cls} because we didn't register a "
            "serializated_type_name. Please register using `_register_namedtuple`."
        )
    return json.dumps(_named[cls])


def _load_named(text):
    name = json.loads(text)
    found = next((cls for cls, known in _named.items() if known == name), None)
    if found is None:
        raise NotImplementedError(f"Can't deserialize TreeSpec of namedtuple class {name}: it is not known.")
    return found


for _cls in (tuple, list, dict, OrderedDict, deque):
    add_text(_cls, f"{_cls.__module__}.{_cls.__qualname__}")
add_text(defaultdict, "collections.defaultdict", _dump_factory, _load_factory)
add_text(namedtuple, "collections.namedtuple", _dump_named, _load_named)


def _dumped(spec):
    if spec.type is None:
        return {"type": None, "context": None, "children_spec": []}
    if spec.type not in _texts:
        raise NotImplementedError(
            f"No registered serialization name for {spec.type} found. Please update your "
            "_register_pytree_node call with a `serialized_type_name` kwarg."
        )
    kind = _texts[spec.type]
    children = [_dumped(child) for child in spec.children_specs]
    return {"type": kind.name, "context": kind.dump(spec.context), "children_spec": children}


def _loaded(text):
    if text["type"] is None:
        return pytree.LeafSpec
    found = next((cls for cls, kind in _texts.items() if kind.name == text["type"]), None)
    if found is None:
        raise NotImplementedError(f"Deserializing {text['type']} in pytree is not registered.")
    children = [_loaded(child) for child in text["children_spec"]]
    return pytree.TreeSpec(found, _texts[found].load(text["context"]), children)


def _check_protocol(protocol):
    if protocol != _PROTOCOL:
        raise ValueError(f"Unknown protocol {protocol}. Available protocols: [{_PROTOCOL}]")


def treespec_dumps(treespec, protocol=None) -> str:
    """A structure as text.

    Errors    TypeError for something that is no structure, NotImplementedError for a class without a name,
              ValueError for another protocol

    >>> from pullback.utils import _pytree as pytree
    >>> pytree.treespec_loads(pytree.treespec_dumps(pytree.tree_structure({"a": (1, 2)})))
    TreeSpec(dict, ['a'], [TreeSpec(tuple, None, [*,
        *])])
    """
    if not isinstance(treespec, pytree.TreeSpec):
        raise TypeError(
            "Expected `treespec` to be an instance of PyTreeSpec but got item of type "
            f"{type(treespec)}.\nTake tree_structure() of a tree."
        )
    if protocol is not None:
        _check_protocol(protocol)
    return json.dumps([_PROTOCOL, _dumped(treespec)])


def treespec_loads(serialized):
    """The structure that treespec_dumps() wrote.

    Errors    NotImplementedError for a class that nobody registered, ValueError for another protocol
    """
    protocol, text = json.loads(serialized)
    _check_protocol(protocol)
    return _loaded(text)
