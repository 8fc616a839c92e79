"""The named tuples that ``x.max(dim)``, ``torch.sort`` and their like return, printed as torch prints them.

``make_return_type(name, fields)`` makes a type, or finds the one made earlier; the types that torch's public
functions return are attributes of this module from the start (``_return_types.max``).
"""

from __future__ import annotations

from operator import itemgetter

__all__ = ["make_return_type"]

_types: dict[str, type] = {}


_nothing = object()


def _new(cls, sequence=_nothing, dict=None):
    if sequence is _nothing:
        raise TypeError("structseq() missing required argument 'sequence' (pos 1)")
    try:
        values = tuple(sequence)
    except TypeError:
        raise TypeError("constructor requires a sequence") from None
    if len(values) != cls.n_fields:
        full = f"torch.return_types.{cls.__name__}"
        raise TypeError(f"{full}() takes a {cls.n_fields}-sequence ({len(values)}-sequence given)")
    return tuple.__new__(cls, values)


def _repr(self):
    shown = ",\n".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{shown})"


def _reduce(self):
    return _again, (type(self).__name__, tuple(self))


def _again(name, values):
    """A result out of a pickle: its type is found by name, whatever module it says that it is of."""
    return _types[name](values)


def _missing(self, name):
    raise AttributeError(f"'torch.return_types.{type(self).__name__}' object has no attribute {name!r}")


def _read_only(self, name, value=None):
    if name in self.__match_args__:
        raise AttributeError("readonly attribute")
    _missing(self, name)


def _no_subclass(cls, **kwargs):
    raise TypeError(f"type 'torch.return_types.{cls.__base__.__name__}' is not an acceptable base type")


def make_return_type(name: str, fields) -> type:
    """A tuple type with named elements, printed as ``torch.return_types.<name>(field=..., ...)``.

    It is called with one sequence: ``make_return_type("max", ("values", "indices"))((v, i))``.
    """
    fields = tuple(fields)
    made = _types.get(name)
    if made is not None:
        if made.__match_args__ != fields:
            raise ValueError(f"return type {name!r} has the fields {made.__match_args__}, not {fields}")
        return made
    members = {
        "__slots__": (),
        "__module__": "torch.return_types",  # as it is printed
        "__new__": _new,
        "__repr__": _repr,
        "__reduce__": _reduce,
        "__getattr__": _missing,
        "__setattr__": _read_only,
        "__delattr__": _read_only,
        "__match_args__": fields,
        "n_fields": len(fields),
        "n_sequence_fields": len(fields),
        "n_unnamed_fields": 0,
    }
    members.update((field, property(itemgetter(position))) for position, field in enumerate(fields))
    made = type(name, (tuple,), members)
    made.__init_subclass__ = classmethod(_no_subclass)
    _types[name] = made
    return made


_VALUES_INDICES = "max min median nanmedian mode sort topk kthvalue cummax cummin"
_FIELDS = {
    **dict.fromkeys(_VALUES_INDICES.split(), "values indices"),
    "aminmax": "min max",
    "frexp": "mantissa exponent",
    "geqrf": "a tau",
    "histogram": "hist bin_edges",
    "histogramdd": "hist bin_edges",
    "linalg_cholesky_ex": "L info",
    "linalg_eig": "eigenvalues eigenvectors",
    "linalg_eigh": "eigenvalues eigenvectors",
    "linalg_inv_ex": "inverse info",
    "linalg_ldl_factor": "LD pivots",
    "linalg_ldl_factor_ex": "LD pivots info",
    "linalg_lstsq": "solution residuals rank singular_values",
    "linalg_lu": "P L U",
    "linalg_lu_factor": "LU pivots",
    "linalg_lu_factor_ex": "LU pivots info",
    "linalg_qr": "Q R",
    "linalg_slogdet": "sign logabsdet",
    "linalg_solve_ex": "result info",
    "linalg_svd": "U S Vh",
    "lu_unpack": "P L U",
    "qr": "Q R",
    "slogdet": "sign logabsdet",
    "svd": "U S V",
    "triangular_solve": "solution cloned_coefficient",
}

for _name, _names in _FIELDS.items():
    make_return_type(_name, _names.split())


def __getattr__(name: str) -> type:
    # Not module globals, which would hide the builtins max, min and sorted from the code above.
    try:
        return _types[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__():
    return sorted([*globals(), *_types])
