"""Writes pullback/signatures.txt: the signatures of the functions and methods that are native in torch.

A call that fails is judged by them, so that its error is torch's (pullback/signatures.py). They are in the
order in which torch tries them. Needs PyTorch 2.13, pyyaml, and pullback for the names that it has:

    python tests/oracles/export_signatures.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torchgen

import pullback

OUTPUT = Path(__file__).resolve().parent.parent.parent / "pullback" / "signatures.txt"
PACKAGED = Path(torchgen.__file__).parent / "packaged"
# Written by hand in torch, so that its tables do not hold them.
_CONVERSIONS = "bool byte char double float half int long short bfloat16".split()
_OPTIONS = (
    "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, "
    "bool? requires_grad=False"
)
BY_HAND = {
    "tensor": [
        "tensor(PyObject* data, *, ScalarType? dtype=None, Device? device=None, bool pin_memory=False, "
        "bool requires_grad=False, DimnameList? names=None)"
    ],
    "as_tensor": ["as_tensor(PyObject* data, *, ScalarType? dtype=None, Device? device=None)"],
    "asarray": [
        "asarray(PyObject* obj, *, ScalarType? dtype=None, Device? device=None, bool? copy=None, "
        "bool requires_grad=False)"
    ],
    "_VF.split": [
        "split(Tensor input, SymInt split_size, int64_t dim=0)",
        "split(Tensor input, SymIntArrayRef split_size, int64_t dim=0)",
    ],
    "device": ["device(Device device)", "device(std::string_view type, int64_t? index=-1)"],
    "Generator": ["Generator(Device device=None)"],
    "frombuffer": [
        "frombuffer(PyObject* buffer, *, ScalarType dtype, int64_t count=-1, int64_t offset=0, "
        "bool requires_grad=False)"
    ],
    "range": [f"range(Scalar start, Scalar end, Scalar step=1, *, Tensor out=None, {_OPTIONS})"],
    "nonzero": ["nonzero(Tensor input, *, bool as_tuple=False, Tensor out=None)"],
    "numel": ["numel(Tensor input)"],
    "Tensor.contiguous": ["contiguous(*, MemoryFormat memory_format=contiguous_format)"],
    "Tensor.is_contiguous": ["is_contiguous(*, MemoryFormat memory_format=contiguous_format)"],
    "Tensor.copy_": [
        "copy_(Tensor other, bool non_blocking=False)",
        "copy_(Tensor other, bool async=False)|deprecated",
    ],
    "Tensor.cpu": ["cpu(*, MemoryFormat? memory_format=None)"],
    "Tensor.cuda": [
        "cuda(Device? device=None, bool non_blocking=False, *, MemoryFormat? memory_format=None)",
        "cuda(Device? device=None, bool async=False, *, MemoryFormat? memory_format=None)|deprecated",
    ],
    "Tensor.nonzero": ["nonzero()|deprecated", "nonzero(*, bool as_tuple)"],
    "Tensor.map_": ["map_(Tensor other, PyObject* callable)"],
    "Tensor.map2_": ["map2_(Tensor x, Tensor y, PyObject* callable)"],
    "Tensor.new_tensor": [
        "new_tensor(PyObject* data, *, ScalarType? dtype=None, Device? device=None, "
        "bool pin_memory=False, bool requires_grad=False, DimnameList? names=None)"
    ],
    "Tensor.numpy": ["numpy(*, bool force=False)"],
    "Tensor.requires_grad_": ["requires_grad_(bool requires_grad=True)"],
    "Tensor.resize_": ["resize_(SymIntArrayRef size, *, MemoryFormat? memory_format=None)"],
    "Tensor.set_": [
        "set_()",
        *(
            f"set_({kind} source{place})"
            for kind in ("Storage", "Tensor")
            for place in ("", ", SymInt storage_offset, SymIntArrayRef size, SymIntArrayRef stride=None")
        ),
    ],
    "Tensor.size": ["size(int64_t? dim=None)"],
    "Tensor.stride": ["stride(int64_t? dim=None)"],
    "Tensor.to": [
        "to(Device device=None, ScalarType dtype=None, bool non_blocking=False, bool copy=False, *, "
        "MemoryFormat? memory_format=None)",
        "to(ScalarType dtype, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None)",
        "to(Tensor tensor, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None)",
    ],
    "Tensor.type": [
        "type(PyObject* dtype=None, bool non_blocking=False, *, MemoryFormat? memory_format=None)",
        "type(PyObject* dtype=None, bool async=False, *, MemoryFormat? memory_format=None)|deprecated",
    ],
    **{f"Tensor.{n}": [f"{n}(*, MemoryFormat? memory_format=None)"] for n in _CONVERSIONS},
    **{f"Tensor.{n}": [] for n in "data_ptr dim element_size item nelement numel tolist".split()},
}


def generated():
    """Key -> signatures, from the tables that torch's own bindings are made of."""
    sys.path.insert(0, str(PACKAGED))
    from autograd import gen_python_functions as gen
    from torchgen.gen import parse_native_yaml

    yaml = PACKAGED / "ATen" / "native"
    known = parse_native_yaml(str(yaml / "native_functions.yaml"), str(yaml / "tags.yaml")).native_functions
    known = [f for f in known if gen.should_generate_py_binding(f)]
    deprecated = os.path.join(PACKAGED, "autograd", "deprecated.yaml")
    methods = gen.load_signatures(known, deprecated, method=True)
    functions = gen.load_signatures(known, deprecated, method=False)
    of_tensor, elsewhere = gen.is_py_variable_method, gen.is_py_torch_function
    spaces = [("Tensor.", methods, of_tensor), ("", functions, elsewhere)]
    spaces += [("", functions, p) for p in (gen.is_py_nn_function, gen.is_py_linalg_function)]
    out = {}
    for prefix, pairs, belongs in spaces:
        for name, overloads in gen.group_filter_overloads(pairs, belongs).items():
            found = [g.signature.signature_str() for g in gen.group_overloads(overloads)]
            out.setdefault(f"{prefix}{name}", []).extend([] if gen.is_noarg(overloads) else found)
    return out


def is_of_both(key):
    """Whether torch has it natively under this name, and pullback has it."""
    name = key.removeprefix("Tensor.")
    if name.startswith("__"):
        return False
    if key.startswith("Tensor."):
        native = type(getattr(torch.Tensor, name, None)).__name__ == "method_descriptor"
        return native and hasattr(pullback.Tensor, name)
    if name in ("device", "Generator", "_VF.split"):
        return True
    if hasattr(torch._C._nn, name):
        return hasattr(pullback.nn.functional, name) or name == "log_sigmoid"
    homes = [(torch, pullback)]
    if name.startswith("linalg_"):
        homes = [(torch.linalg, pullback.linalg)]
    short = name.removeprefix("linalg_")
    for theirs, ours in homes:
        if type(getattr(theirs, short, None)).__name__ == "builtin_function_or_method":
            return hasattr(ours, short)
    return False


def of_functional():
    """What torch.nn.functional offers of these functions, under names of its own or the same."""
    for name, theirs in sorted(vars(torch.nn.functional).items()):
        native = type(theirs).__name__ == "builtin_function_or_method" and not name.startswith("_")
        if native and hasattr(pullback.nn.functional, name):
            yield f"functional.{name}={theirs.__name__}"


def main():
    table = {**generated(), **BY_HAND}
    lines = []
    for key in sorted(filter(is_of_both, table)):
        prefix = key[: key.find(".") + 1]
        lines += [prefix + s for s in table[key]] or [key]
    lines += of_functional()
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} signatures")


if __name__ == "__main__":
    main()
