"""backward() and grad(): checks in torch's words, then one native run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from pullback import _core
from pullback.arguments import kind_name
from pullback.errors import GradError, ShapeError

_warned_of_cycle = False


def _tuple(x, edges=False):
    """One or several as a tuple; `edges`: one may also be a place on the tape."""
    return (x,) if isinstance(x, _core.Tensor) or (edges and _is_edge(x)) else tuple(x)


def _tensors(*values):
    return [t for t in values if isinstance(t, _core.Tensor)]


def _is_edge(x):
    """A place on the tape, from get_gradient_edge()."""
    return isinstance(x, tuple) and hasattr(x, "node") and hasattr(x, "output_nr")


def _inputs(x, caller):
    """What to differentiate by, and its names if it came in a dict."""
    if type(x) is dict:
        x, names = tuple(x.values()), tuple(x)
    elif isinstance(x, Mapping):
        raise TypeError(
            f"`inputs` argument to `{caller}()` must be a dict, not {type(x).__name__}. Other Mapping types "
            "are not supported.\nMake it one: dict(inputs)."
        )
    else:
        x, names = _tuple(x, edges=True), None
    if not x:
        raise RuntimeError(f"`inputs` argument to `{caller}()` cannot be empty.")
    return x, names


def _require_graph(outputs):
    for k, t in enumerate(outputs):
        if not _is_edge(t) and not t.requires_grad:
            raise GradError(
                f"element {k} of tensors does not require grad and does not have a grad_fn\n"
                "Nothing that this value depends on asks for a gradient: set requires_grad=True on the "
                "tensors to differentiate by, and check for detach(), .item(), .numpy() or no_grad() on the "
                "way."
            )


def _place(out):
    """Shape and dtype of what a gradient belongs to."""
    return out.node._place(out.output_nr) if _is_edge(out) else (out.shape, out.dtype)


def _needs_gradient(out):
    return _is_edge(out) or out.requires_grad


def _check_cotangent(k, g, out):
    if not (_is_edge(out) or isinstance(out, _core.Tensor)):
        raise AssertionError("Expected output to be a torch.Tensor")
    shape, dtype = _place(out)
    if g is None:
        if _needs_gradient(out) and math.prod(shape) != 1:
            raise GradError(
                "grad can be implicitly created only for scalar outputs\n"
                f"Output {k} has shape {list(shape)}: reduce it first (sum or mean), or give the "
                "gradient to start from: y.backward(torch.ones_like(y))."
            )
        return None
    if not isinstance(g, _core.Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if tuple(g.shape) != tuple(shape):
        raise ShapeError(
            f"Mismatch in shape: grad_output[{k}] has a shape of {g.shape} and output[{k}] has a shape of "
            f"{shape}."
        )
    return g if g.dtype == dtype else g.to(dtype)


def _cotangents(outputs, gradients):
    """One cotangent an output; None stands for ones, which only a single element can mean. As in torch those
    beyond the outputs are left alone, and what is no number is refused before what has no graph."""
    gradients = (None,) * len(outputs) if gradients is None else _tuple(gradients)
    pairs = enumerate(zip(gradients, outputs, strict=False))
    return tuple(_check_cotangent(k, g, out) for k, (g, out) in pairs)


def _require_roots(outputs, cotangents):
    if len(cotangents) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(cotangents)} gradients")
    _require_graph(outputs)


def _targets(inputs):
    for t in inputs:
        if _is_edge(t):
            continue
        if not isinstance(t, _core.Tensor):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {kind_name(t)}")
        if not t.requires_grad:
            raise GradError(
                "One of the differentiated Tensors does not require grad\n"
                "Set requires_grad=True on it before it is used."
            )
    return inputs


def _warn_of_cycle():
    global _warned_of_cycle
    if not _warned_of_cycle:
        _warned_of_cycle = True
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and "
            "its gradient which can cause a memory leak. We recommend using autograd.grad when creating the "
            "graph to avoid this. If you have to use this function, make sure to reset the .grad fields of "
            "your parameters to None after use to break the cycle and avoid the leak.",
            UserWarning,
            stacklevel=3,
        )


def backward(
    tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None
):
    """Adds the gradients of `tensors` into `.grad` of the leaves (or of `inputs`).

    Shapes    grad_tensors[k] has the shape of tensors[k]; None for a single element means 1
    Errors    GradError where there is no graph, or it was freed; ShapeError for a gradient of another shape

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    if grad_variables is not None:
        text = "`grad_variables` is deprecated. Use `grad_tensors` instead."
        warnings.warn(text, FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. "
                "Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    if inputs is not None:
        inputs, _ = _inputs(inputs, "backward")
    tensors = _tuple(tensors, edges=True)
    cotangents = _cotangents(tensors, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    keep, create_graph = _core.flags(keep, create_graph)
    _require_roots(tensors, cotangents)
    if inputs is not None:
        for t in inputs:
            if isinstance(t, _core.Tensor) and not t.requires_grad:
                raise GradError("can't retain_grad on Tensor that has requires_grad=False")
        for t in _targets(inputs):
            if not _is_edge(t):  # the gradient of an inner edge is kept only where its tensor asked for that
                t.retain_grad()
    if create_graph:
        _warn_of_cycle()
    if _core.has_layers():
        from pullback.func.reverse import accumulate as run
    else:
        run = _core.run_backward
    run(tensors, cotangents, inputs, keep, create_graph, True)


def _check_rows(outputs, grad_outputs):
    for k, (g, out) in enumerate(zip(grad_outputs, outputs, strict=False)):
        shape, _ = _place(out)
        if isinstance(g, _core.Tensor) and (not g.dim() or tuple(g.shape[1:]) != tuple(shape)):
            raise ShapeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the "
                "batch dimension. The sizes of the remaining dimensions are expected to match the shape of "
                "corresponding output, but a mismatch was detected: "
                f"grad_output[{k}] has a shape of {g.shape} and output[{k}] has a shape of {shape}. If "
                "you only want some tensors in `grad_output` to be considered batched, consider using vmap."
            )


def _batched(outputs, inputs, grad_outputs, create_graph, allow_unused):
    """One gradient for each row of the cotangents, stacked: the engine runs once, for all rows."""
    from pullback.func import vmap

    rows_of = _tuple(grad_outputs)
    _check_rows(outputs, rows_of)
    # Of each the first row stands for all that is asked of a cotangent.
    first = [g[0] if isinstance(g, _core.Tensor) else g for g in rows_of]
    _require_roots(outputs, _cotangents(outputs, first))
    given = [k for k, g in enumerate(rows_of) if g is not None]
    reached: list[int] = []

    def one_row(*rows):
        gs: list = [None] * len(outputs)
        for k, g in zip(given, rows, strict=True):
            gs[k] = g
        # Kept: where the rows cannot run together, they run one after another.
        found = grad(outputs, inputs, gs, True, create_graph, True, allow_unused)
        reached[:] = [k for k, g in enumerate(found) if g is not None]
        return tuple(found[k] for k in reached)

    columns = vmap(one_row)(*(rows_of[k] for k in given))
    result: list = [None] * len(inputs)
    for k, g in zip(reached, columns, strict=True):
        result[k] = g
    return tuple(result)


def _through_layers(outputs, cotangents, inputs, keep_graph, create_graph):
    """The engine's run for tensors inside vmap or forward mode, whose tape is below their layers."""
    from pullback.func.reverse import InProgram, ones_like, pull_back

    filled = [ones_like(y) if g is None else g for y, g in zip(outputs, cotangents, strict=True)]
    return tuple(pull_back(outputs, filled, inputs, InProgram(create_graph), keep_graph))


def _single(outputs, inputs, cotangents, keep, create_graph):
    _require_roots(outputs, cotangents)
    _targets(inputs)
    if _core.has_layers() and any(_core.top_layer(t) is not None for t in _tensors(*outputs, *inputs)):
        return _through_layers(outputs, cotangents, inputs, keep, create_graph)
    return _core.run_backward(outputs, cotangents, inputs, keep, create_graph, False)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`: a tuple, or a dict where `inputs` is one.

    Shapes    one gradient an input, of its shape; with is_grads_batched=True grad_outputs have a further
              first axis, and so have the gradients: all rows run at once, as under vmap
    Errors    GradError for inputs that need no gradient or (without allow_unused) do not appear in the graph

    >>> import pullback as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x**2, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs = _tuple(outputs, edges=True)
    inputs, names = _inputs(inputs, "grad")
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate "
            "gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    keep = create_graph if retain_graph is None else retain_graph
    batched = (
        is_grads_batched and grad_outputs is not None and any(g is not None for g in _tuple(grad_outputs))
    )
    cotangents = None if batched else _cotangents(outputs, grad_outputs)
    keep, create_graph, allow_unused = _core.flags(keep, create_graph, allow_unused)
    if batched:
        result = _batched(outputs, inputs, grad_outputs, create_graph, allow_unused)
    else:
        result = _single(outputs, inputs, cotangents, keep, create_graph)
    for k, g in enumerate(result):
        if g is None and not allow_unused:
            raise GradError(
                f"The differentiated Tensor at index {k} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    if materialize_grads:
        from pullback.creation import zeros_like

        if any(g is None and _is_edge(x) for g, x in zip(result, inputs, strict=True)):
            raise RuntimeError(
                "materialize_grads cannot be used when the given input is a GradientEdge\n"
                "Give the tensor itself: the zeros are made like it."
            )
        result = tuple(
            zeros_like(x, requires_grad=create_graph) if g is None else g
            for g, x in zip(result, inputs, strict=True)
        )
    return result if names is None else dict(zip(names, result, strict=True))
