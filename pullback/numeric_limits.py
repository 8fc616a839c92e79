"""``finfo`` and ``iinfo``: the limits of the floating-point and of the integer types."""

from __future__ import annotations

__all__ = ["finfo", "iinfo"]

# bits, explicit bits of the fraction, largest exponent, decimal digits that survive a round trip
_FLOATS = {
    "float16": (16, 10, 15, 3),
    "bfloat16": (16, 7, 127, 2),
    "float32": (32, 23, 127, 6),
    "float64": (64, 52, 1023, 15),
}
_REAL_OF = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}
_INTEGERS = {f"{sign}int{bits}": (bits, sign == "") for sign in ("", "u") for bits in (8, 16, 32, 64)}
_PYTHON_TYPES = {float: "float64", int: "int64", complex: "complex128", bool: "bool"}


def _host():
    """The type of dtypes and the default one; looked up late, because the package imports this module."""
    import pullback

    return pullback.dtype, pullback.get_default_dtype()


def _type_name(value) -> str:
    from pullback.arguments import kind_name

    return kind_name(value)


def _dtype_name(what: str, value, place: str) -> str:
    """ "float32" for torch.float32 and what else stands for a dtype."""
    if isinstance(value, type) and value in _PYTHON_TYPES:
        return _PYTHON_TYPES[value]
    if not isinstance(value, _host()[0]):
        raise TypeError(f"{what}(): argument 'type'{place} must be torch.dtype, not {_type_name(value)}")
    return str(value).rpartition(".")[2]


class _Limits:
    """Read-only values that compare by dtype."""

    __slots__ = ("bits", "dtype", "max", "min")
    __hash__ = None

    def __init_subclass__(cls):
        if cls.__base__ is not _Limits:
            raise TypeError(f"type 'torch.{cls.__base__.__name__}' is not an acceptable base type")

    def _fill(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)
        return self

    def __setattr__(self, name, value):
        getattr(self, name)
        raise AttributeError(f"attribute {name!r} of 'torch.{type(self).__name__}' objects is not writable")

    def __delattr__(self, name):
        self.__setattr__(name, None)

    def __getattr__(self, name):
        raise AttributeError(f"'torch.{type(self).__name__}' object has no attribute {name!r}")

    def __eq__(self, other):
        return type(self) is type(other) and self.dtype == other.dtype

    def __reduce__(self):
        raise TypeError(f"cannot pickle 'torch.{type(self).__name__}' object")

    def _text(self, *names: str) -> str:
        shown = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"{type(self).__name__}({shown}, dtype={self.dtype})"


def _finfo_argument(args: tuple, kwargs: dict) -> str:
    if not args and not kwargs:
        return str(_host()[1]).rpartition(".")[2]
    if len(args) + len(kwargs) > 1:
        given = [_type_name(a) for a in args] + [f"{key}={_type_name(a)}" for key, a in kwargs.items()]
        raise TypeError(
            f"finfo() received an invalid combination of arguments - got ({', '.join(given)}), "
            "but expected one of:\n * (torch.dtype type)\n * ()\n"
        )
    if args:
        return _dtype_name("finfo", args[0], " (position 1)")
    if "type" not in kwargs:
        raise TypeError('finfo() missing 1 required positional arguments: "type"')
    return _dtype_name("finfo", kwargs["type"], "")


class finfo(_Limits):
    """finfo(type=None): the limits of a floating-point dtype, by default of the default dtype.

    Of a complex dtype these are the limits of its parts. smallest_normal and tiny are the same number.

    Errors    TypeError for a dtype that is no float
    Example   >>> torch.finfo(torch.float32).eps, torch.finfo(torch.float64).max
              (1.1920928955078125e-07, 1.7976931348623157e+308)
    """

    __slots__ = ("eps", "resolution", "smallest_normal", "tiny")

    def __new__(cls, *args, **kwargs):
        name = _finfo_argument(args, kwargs)
        name = _REAL_OF.get(name, name)
        if name not in _FLOATS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        bits, fraction, exponent, digits = _FLOATS[name]
        eps = 2.0**-fraction
        largest = (2.0 - eps) * 2.0**exponent
        normal = 2.0 ** (1 - exponent)
        return object.__new__(cls)._fill(
            bits=bits,
            dtype=name,
            eps=eps,
            max=largest,
            min=-largest,
            smallest_normal=normal,
            tiny=normal,
            resolution=float(f"1e-{digits}"),
        )

    def __repr__(self):
        return self._text("resolution", "min", "max", "eps", "smallest_normal", "tiny")


def _iinfo_argument(args: tuple, kwargs: dict) -> str:
    if len(args) > 1:
        raise TypeError(f"iinfo() takes 1 positional argument but {len(args)} were given")
    if args and "type" in kwargs:
        raise TypeError("iinfo() got multiple values for argument 'type'")
    if not args and "type" not in kwargs:
        raise TypeError('iinfo() missing 1 required positional arguments: "type"')
    for key in kwargs:
        if key != "type":
            raise TypeError(f"iinfo() got an unexpected keyword argument {key!r}")
    if args:
        return _dtype_name("iinfo", args[0], " (position 1)")
    return _dtype_name("iinfo", kwargs["type"], "")


class iinfo(_Limits):
    """iinfo(type): the limits of an integer dtype.

    Errors    TypeError for a dtype that is no integer
    Example   >>> torch.iinfo(torch.uint8).max, torch.iinfo(torch.int64).min
              (255, -9223372036854775808)
    """

    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        name = _iinfo_argument(args, kwargs)
        if name == "bool":
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if name not in _INTEGERS:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'"
            )
        bits, signed = _INTEGERS[name]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return object.__new__(cls)._fill(bits=bits, dtype=name, max=high, min=low)

    def __repr__(self):
        return self._text("min", "max")


# ---- does a number lie within them? ----


def fits(value, dtype) -> bool:
    """Whether a number can become an element of an integer type; a negative int may wrap around."""
    if dtype.is_floating_point or dtype._name == "bool":
        return True
    limits = iinfo(dtype)
    if isinstance(value, float):
        return limits.min <= value <= limits.max
    return (limits.min if dtype.is_signed else -limits.max) <= int(value) <= limits.max


def check_number(value, dtype):
    """Torch's RuntimeError for a number that an integer operand cannot hold."""
    if not fits(value, dtype):
        in_c = "int" if dtype._name == "int32" else f"{dtype._name}_t"
        raise RuntimeError(
            f"value cannot be converted to type {in_c} without overflow\n"
            f"{dtype} does not hold {value}: convert the tensor to a wider type first."
        )


def check_last(x, *arguments):
    """Of a call that ends with the number to write into x."""
    if not x.dtype.is_floating_point and type(arguments[-1]) in (int, float):
        check_number(arguments[-1], x.dtype)
