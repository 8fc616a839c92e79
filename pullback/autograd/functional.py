"""Derivatives of functions: jacobian, hessian, and their products with vectors.

A function takes tensors and gives a tensor or a tuple of tensors. What is asked for has the structure of what
it belongs to: a tensor where that is a tensor, a tuple where that is a tuple.
"""

from __future__ import annotations

from functools import partial

from pullback import _core
from pullback.autograd.backward import grad
from pullback.autograd.grad_mode import enable_grad
from pullback.errors import GradError, ShapeError

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensor = _core.Tensor

_STRICT = {
    "output": "Output {i} of the user-provided function does not require gradients. The "
    "outputs must be computed in a differentiable manner from the input when "
    "running in strict mode.",
    "gradient": "The output of the user-provided function is independent of input {i}. This"
    " is not allowed in strict mode.",
    "column": "Output {j} of the user-provided function is independent of input {i}. This"
    " is not allowed in strict mode.",
    "linear gradient": "The gradient with respect to input {i} is independent of the inputs of the"
    " user-provided function. This is not allowed in strict mode.",
    "product": "The gradient with respect to the input is independent of entry {i} in the "
    "grad_outputs when using the double backward trick to compute forward mode "
    "gradients. This is not allowed in strict mode.",
    "constant jacobian": "The jacobian of the user-provided function is independent of input {i}. "
    "This is not allowed in strict mode when create_graph=True.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided "
    "function with respect to input {i} is independent of the input. This is "
    "not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be "
    "violated by a linear function for example).",
    "second gradient": "The jacobian of the user-provided function is independent of input {i}. "
    "This is not allowed in strict mode.",
    "second product": "The hessian of the user-provided function is independent of entry {i} in "
    "the grad_jacobian. This is not allowed in strict mode as it prevents from "
    "using the double backward trick to replace forward mode AD.",
    "constant hessian": "The hessian of the user-provided function is independent of input {i}. "
    "This is not allowed in strict mode when create_graph=True.",
}


def _refuse(kind, i, j=None):
    text = _STRICT[kind].format(i=i, j=j)
    raise GradError(f"{text}\nWith strict=False, what does not depend on the inputs counts as zero.")


# Structures


def _tensors(x, name, function):
    """(whether it is a tuple, the tensors)."""
    is_tuple = isinstance(x, tuple)
    items = x if is_tuple else (x,)
    for k, t in enumerate(items):
        if not isinstance(t, Tensor):
            found = f"value at index {k}" if is_tuple else f"given {name}"
            raise TypeError(
                f"The {name} given to {function} must be either a Tensor or a tuple of Tensors but the "
                f"{found} has type {type(t)}."
            )
    return is_tuple, items


def _like(is_tuple, items, create_graph):
    """In the caller's structure, and without the graph that was built on the way unless it is asked for."""
    items = tuple(items) if create_graph else tuple(t.detach() for t in items)
    return items if is_tuple else items[0]


def _own(inputs, create_graph):
    """Tensors of our own in place of the inputs: only the function lies between them and its outputs."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs
    )


def _run(func, inputs, function, create_graph, strict):
    """(inputs are a tuple, inputs, outputs are a tuple, outputs)."""
    is_tuple, inputs = _tensors(inputs, "inputs", function)
    inputs = _own(inputs, create_graph)
    out_is_tuple, outputs = _tensors(func(*inputs), "outputs of the user-provided function", function)
    if strict:
        _check_depends(outputs, "output")
    return is_tuple, inputs, out_is_tuple, outputs


def _run_scalar(func, inputs, function, create_graph, strict):
    is_tuple, inputs, out_is_tuple, outputs = _run(func, inputs, function, create_graph, strict)
    _check_scalar(out_is_tuple, outputs, function)
    return is_tuple, inputs, outputs


def _check_scalar(is_tuple, outputs, function):
    if is_tuple:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise ShapeError(
            f"The Tensor returned by the function given to {function} should contain a single element\n"
            f"It has shape {list(outputs[0].shape)}: reduce it, or take the jacobian() of a jacobian()."
        )


def _vector(v, function, create_graph, others, is_tuple, missing):
    """The vector of a product, or None where it may be left out: a single element stands for 1."""
    if v is None:
        if len(others) != 1 or others[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {missing}.")
        return (None,)
    _, v = _tensors(v, "v", function)
    v = tuple(x if create_graph else x.detach() for x in v)
    if len(v) != len(others):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(others)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for k, (x, other) in enumerate(zip(v, others, strict=True)):
        if x.shape != other.shape:
            entry = f"Entry {k} in " if is_tuple else ""
            raise ShapeError(f"{entry}v has invalid size: should be {other.shape} but got {x.shape}.")
    return v


_SINGLE_INPUT = "the input to the user-provided function is a single Tensor with a single element"
_SINGLE_OUTPUT = "the user-provided function returns a single Tensor with a single element"


# Gradients that may be missing


def _check_depends(tensors, kind):
    for i, t in enumerate(tensors):
        if t is None:
            _refuse("gradient", i)
        if not t.requires_grad:
            _refuse(kind, i)


def _gradients(outputs, inputs, vectors=None, create_graph=False, batched=False):
    """autograd.grad, with None for all where no output has a graph."""
    vectors = (None,) * len(outputs) if vectors is None else vectors
    pairs = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o is not None and o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    outputs, vectors = zip(*pairs, strict=True)
    return grad(outputs, inputs, vectors, True, create_graph, True, True, batched)


def _filled(gradients, like, missing, constant, create_graph, strict):
    """Zeros for what is missing; strict refuses that, and with create_graph what has no derivative itself."""
    from pullback._api import zeros_like

    for i, g in enumerate(gradients):
        if strict and g is None:
            _refuse(missing, i)
        if strict and create_graph and not g.requires_grad:
            _refuse(constant, i)
    return tuple(zeros_like(x) if g is None else g for g, x in zip(gradients, like, strict=True))


def _dummies(tensors):
    """Vectors to be differentiated by: a product is linear in them, so their values do not matter."""
    from pullback._api import zeros_like

    return tuple(zeros_like(t, requires_grad=True) for t in tensors)


# Products with vectors


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v J): the product of a vector and the jacobian, by one run backward.

    Shapes    v has those of the outputs and may be left out for a single element; the product has the inputs'
    Gradient  both results have one with create_graph=True
    Errors    ShapeError for a v of other shapes; with strict=True GradError for an input without influence

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.vjp(lambda x: x**2, x, torch.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        is_tuple, inputs, out_is_tuple, outputs = _run(func, inputs, "vjp", create_graph, strict)
        v = _vector(v, "vjp", create_graph, outputs, out_is_tuple, _SINGLE_OUTPUT)
        product = _gradients(outputs, inputs, v, create_graph)
        product = _filled(product, inputs, "gradient", "constant jacobian", create_graph, strict)
        return _like(out_is_tuple, outputs, create_graph), _like(is_tuple, product, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), J v): the product of the jacobian and a vector.

    It is the derivative of `u J` by u, two runs backward; func.jvp() and forward_ad need one run forward.

    Shapes    v has those of the inputs and may be left out for a single element; the product has the outputs'
    Gradient  both results have one with create_graph=True
    Errors    ShapeError for a v of other shapes; with strict=True GradError for an input without influence

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.jvp(lambda x: (x**2).sum(), x, torch.tensor([1.0, 10.0]))
    (tensor(5.), tensor(42.))
    """
    with enable_grad():
        is_tuple, inputs = _tensors(inputs, "inputs", "jvp")
        vector = _vector(v, "jvp", create_graph, inputs, is_tuple, _SINGLE_INPUT)
        _, inputs, out_is_tuple, outputs = _run(func, inputs, "jvp", create_graph, strict)
        u = _dummies(outputs)
        first = _gradients(outputs, inputs, u, True)
        if strict:
            _check_depends(first, "linear gradient")
        product = _gradients(first, u, vector, create_graph)
        product = _filled(product, outputs, "product", "constant jacobian", create_graph, strict)
        return _like(out_is_tuple, outputs, create_graph), _like(out_is_tuple, product, create_graph)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), v H): the product of a vector and the hessian of a function with a single element.

    Shapes    v and the product have those of the inputs; v may be left out for a single element
    Gradient  both results have one with create_graph=True
    Errors    ShapeError for a v of other shapes and for more than one element; with strict=True GradError for
              a function that does not depend on an input, or only linearly

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), x, torch.tensor([1.0, 10.0]))
    (tensor(9.), tensor([  6., 120.]))
    """
    with enable_grad():
        is_tuple, inputs = _tensors(inputs, "inputs", "vhp")
        vector = _vector(v, "vhp", create_graph, inputs, is_tuple, _SINGLE_INPUT)
        _, inputs, outputs = _run_scalar(func, inputs, "vhp", create_graph, strict)
        first = _gradients(outputs, inputs, create_graph=True)
        if strict:
            _check_depends(first, "jacobian")
        product = _gradients(first, inputs, vector, create_graph)
        product = _filled(product, inputs, "second gradient", "constant hessian", create_graph, strict)
        return _like(False, outputs, create_graph), _like(is_tuple, product, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(*inputs), H v): what vhp() gives, by a further run backward; vhp() is faster, and H is symmetric.

    Shapes    v and the product have those of the inputs; v may be left out for a single element
    Gradient  both results have one with create_graph=True
    Errors    those of vhp(); with strict=True also GradError for a hessian that is constant

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), x, torch.tensor([1.0, 10.0]))
    (tensor(9.), tensor([  6., 120.]))
    """
    with enable_grad():
        is_tuple, inputs = _tensors(inputs, "inputs", "hvp")
        vector = _vector(v, "hvp", create_graph, inputs, is_tuple, _SINGLE_INPUT)
        _, inputs, outputs = _run_scalar(func, inputs, "hvp", create_graph, strict)
        first = _gradients(outputs, inputs, create_graph=True)
        if strict:
            _check_depends(first, "jacobian")
        u = _dummies(inputs)
        second = _gradients(first, inputs, u, True)
        product = _gradients(second, u, vector, create_graph)
        product = _filled(product, inputs, "second product", "constant hessian", create_graph, strict)
        return _like(False, outputs, create_graph), _like(is_tuple, product, create_graph)


# Whole jacobians


def _units(t):
    """The unit tensors of t's shape, stacked."""
    from pullback._api import eye

    return eye(t.numel(), dtype=t.dtype).reshape(t.numel(), *t.shape)


def _row(output, inputs, unit, create_graph, strict, j):
    """The gradient of one element."""
    from pullback._api import zeros_like

    found = _gradients((output,), inputs, (unit,), create_graph)
    for i, g in enumerate(found):
        if strict and g is None:
            _refuse("column", i, j)
        if strict and create_graph and not g.requires_grad:
            _refuse("constant jacobian", i)
    return [zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _rows(j, output, inputs, create_graph, strict, vectorize):
    """The jacobians of one output by all inputs."""
    from pullback._api import stack

    shapes = [(*output.shape, *x.shape) for x in inputs]
    if output.numel() == 0 or not output.requires_grad:
        return tuple(x.detach().new_zeros(s) for x, s in zip(inputs, shapes, strict=True))
    units = _units(output.detach())
    if vectorize:
        found = _gradients((output,), inputs, (units,), create_graph, True)
    else:
        rows = [_row(output, inputs, unit, create_graph, strict, j) for unit in units.unbind(0)]
        found = [stack(column) for column in zip(*rows, strict=True)]
    return tuple(
        x.detach().new_zeros(s) if g is None else g.reshape(s)
        for g, x, s in zip(found, inputs, shapes, strict=True)
    )


def _reverse(func, inputs, create_graph, strict, vectorize):
    with enable_grad():
        is_tuple, inputs, out_is_tuple, outputs = _run(func, inputs, "jacobian", create_graph, strict)
        rows = tuple(
            _like(is_tuple, _rows(j, o, inputs, create_graph, strict, vectorize), create_graph)
            for j, o in enumerate(outputs)
        )
    return rows if out_is_tuple else rows[0]


def _forward(func, inputs):
    """Column by column: all unit tangents of an input at once, the other inputs standing."""
    from pullback._api import zeros_like
    from pullback.autograd import forward_ad
    from pullback.func import vmap

    is_tuple, inputs = _tensors(inputs, "inputs", "jacobian")
    if not inputs:
        raise AssertionError("Expected at least one tensor\nGive the inputs to differentiate by.")
    out_is_tuple = False

    def along(i, tangent):
        nonlocal out_is_tuple
        with forward_ad.dual_level():
            moving = list(inputs)
            moving[i] = forward_ad.make_dual(moving[i], tangent)
            result = func(*moving)
            out_is_tuple, outputs = _tensors(result, "outputs of the user-provided function", "jacobian")
            duals = [forward_ad.unpack_dual(o) for o in outputs]
            return tuple(zeros_like(d.primal) if d.tangent is None else d.tangent for d in duals)

    columns = [vmap(partial(along, i))(_units(x.detach())) for i, x in enumerate(inputs)]
    rows = [
        [_columns_last(c, x) for c, x in zip(row, inputs, strict=True)] for row in zip(*columns, strict=True)
    ]
    if is_tuple:  # as in torch: lists, where reverse mode gives tuples
        return rows if out_is_tuple else rows[0]
    return tuple(row[0] for row in rows) if out_is_tuple else rows[0][0]


def _columns_last(columns, x):
    return columns.movedim(0, -1).reshape((*columns.shape[1:], *x.shape))


def _check_options(create_graph, strict, vectorize, strategy):
    where = "torch.autograd.functional.jacobian"
    forward = strategy == "forward-mode"
    if forward and create_graph:
        raise NotImplementedError(
            f'{where}: `create_graph=True` and `strategy="forward-mode"` are not supported together (yet). '
            'Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if forward and strict:
        raise RuntimeError(
            f'{where}: `strict=True` and `strategy="forward-mode"` are not supported together (yet). Please '
            'either set `strict=False` or `strategy="reverse-mode"`.'
        )
    if forward and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
            "`vectorize=True`."
        )
    if strict and vectorize:
        raise RuntimeError(
            f"{where}: `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )


def _gradient_of_duals(scalar, inputs):
    """The gradient as a function that can be run on tensors with tangents."""
    from pullback import func

    value, pull = func.vjp(scalar, *inputs)
    return pull(value.new_ones(()))


_STRATEGIES = ("forward-mode", "reverse-mode")


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The derivative of every element of the outputs by every element of the inputs.

    Shapes    for each output and input the output's followed by the input's; tuples around them where func
              returns a tuple (outside) and where the inputs are one (inside); lists for a tuple of inputs
              in forward mode
    Gradient  with create_graph=True; in forward mode wherever the inputs ask for one
    How       one run backward for each element of the outputs, or with vectorize=True one for all in a
              batch; with strategy="forward-mode" (and vectorize=True) one run forward for each input
    Errors    with strict=True GradError for an input that an output does not depend on, instead of zeros

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.jacobian(lambda x: x**2, x)
    tensor([[2., 0.],
            [0., 4.]])
    >>> y = torch.tensor([3.0])
    >>> torch.autograd.functional.jacobian(lambda x, y: x * y, (x, y), vectorize=True)
    (tensor([[3., 0.],
            [0., 3.]]), tensor([[1.],
            [2.]]))
    """
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has '
            'more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use '
            '"reverse-mode".'
        )
    _check_options(create_graph, strict, vectorize, strategy)
    if strategy == "forward-mode":
        return _forward(func, inputs)
    return _reverse(func, inputs, create_graph, strict, vectorize)


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The second derivatives of a function with a single element: the jacobian of its gradient.

    Shapes    for each pair of inputs the first one's followed by the second one's, as a tensor, or as a tuple
              of tuples where the inputs are a tuple (lists in forward mode)
    Gradient  with create_graph=True; in forward mode wherever the inputs ask for one
    How       vectorize as in jacobian(); outer_jacobian_strategy is the way of the second derivative
    Errors    ShapeError for more than one element; those of jacobian(), and with strict=True GradError for a
              gradient that is constant

    >>> import pullback as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    is_tuple, inputs = _tensors(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*inputs):
        out_is_tuple, outputs = _tensors(func(*inputs), "outputs of the user-provided function", "hessian")
        if strict:
            _check_depends(outputs, "output")
        _check_scalar(out_is_tuple, outputs, "hessian")
        return outputs[0].reshape(())

    def gradient(*inputs):
        if outer_jacobian_strategy == "forward-mode":
            return _gradient_of_duals(scalar, inputs)
        first = jacobian(scalar, inputs, create_graph=True)
        if strict:
            _check_depends(first, "jacobian")
        return first

    found = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if is_tuple else found[0][0]
