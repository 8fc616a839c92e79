"""backward() and grad(): checks in torch's words, then one native run."""

from __future__ import annotations

from pullback import _core
from pullback.errors import GradError, ShapeError


def _tuple(x, what="tensors"):
    if isinstance(x, _core.Tensor):
        return (x,)
    x = tuple(x) if x is not None else ()
    return x


def _cotangents(outputs, gradients, is_batched=False):
    """One cotangent an output; None stands for ones, which only a single element can mean."""
    if gradients is None:
        gradients = (None,) * len(outputs)
    elif isinstance(gradients, _core.Tensor):
        gradients = (gradients,)
    gradients = tuple(gradients)
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    checked = []
    for k, (out, g) in enumerate(zip(outputs, gradients)):
        if g is None:
            if out.requires_grad and out.numel() != 1:
                raise GradError(
                    "grad can be implicitly created only for scalar outputs\n"
                    f"Output {k} has shape {list(out.shape)}: reduce it first (sum or mean), or give its gradient."
                )
        elif not isinstance(g, _core.Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        elif tuple(g.shape) != tuple(out.shape):
            raise ShapeError(
                f"Mismatch in shape: grad_output[{k}] has a shape of {g.shape} and output[{k}] has a shape of "
                f"{out.shape}."
            )
        checked.append(g)
    return tuple(checked)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Adds the gradients of `tensors` into `.grad` of the leaves (or of `inputs`).

    Shapes    grad_tensors[k] has the shape of tensors[k]; None for a single element means 1
    Errors    GradError where there is no graph, or it was freed; ShapeError for a gradient of another shape

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    tensors = _tuple(tensors)
    if inputs is not None:
        inputs = _tuple(inputs)
        if len(inputs) == 0:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in inputs:
            if not t.requires_grad:
                raise GradError("One of the differentiated Tensors does not require grad")
    cotangents = _cotangents(tensors, grad_tensors if grad_tensors is not None else grad_variables)
    keep = create_graph if retain_graph is None else retain_graph
    _core.run_backward(tensors, cotangents, inputs, keep, create_graph, True)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True,
         allow_unused=None, is_grads_batched=False, materialize_grads=False):  # fmt: skip
    """The gradients of `outputs` with respect to `inputs`, as a tuple.

    Shapes    one gradient an input, of its shape
    Errors    GradError for inputs that need no gradient or (without allow_unused) do not appear in the graph

    >>> import pullback as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x**2, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")  # fmt: skip
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    if not inputs:
        raise ValueError("grad requires non-empty inputs.")
    for t in inputs:
        if not t.requires_grad:
            raise GradError(
                "One of the differentiated Tensors does not require grad\n"
                "Set requires_grad=True on it before it is used."
            )
    cotangents = _cotangents(outputs, grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    result = _core.run_backward(outputs, cotangents, inputs, keep, create_graph, False)
    if not allow_unused and any(g is None for g in result):
        raise GradError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )
    if materialize_grads:
        from pullback._api import zeros_like

        result = tuple(zeros_like(x, requires_grad=create_graph) if g is None else g for g, x in zip(result, inputs))
    return result
