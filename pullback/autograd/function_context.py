"""The ctx of a Function: what its forward leaves for its backward."""

from __future__ import annotations

import warnings

from pullback import _core
from pullback.autograd.saved import Packed, changed_since, maker, of_context
from pullback.errors import GradError

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
    "if you need to access saved tensors after calling backward."
)


_OF_THE_NODE = frozenset(
    {"_sequence_nr", "metadata", "name", "next_functions", "register_hook", "register_prehook"}
)


class FunctionCtx:
    """What forward leaves for backward. Anything may be set on it; tensors belong into save_for_backward().

    Example   >>> class Cube(torch.autograd.Function):
              ...     @staticmethod
              ...     def forward(ctx, x):
              ...         ctx.save_for_backward(x)
              ...         return x**3
              ...
              ...     @staticmethod
              ...     def backward(ctx, g):
              ...         (x,) = ctx.saved_tensors
              ...         return g * 3 * x**2
              >>> x = torch.tensor(2.0, requires_grad=True)
              >>> Cube.apply(x).backward()
              >>> x.grad
              tensor(12.)
    """

    to_save = dirty_tensors = non_differentiable = saved_for_forward = None
    materialize_grads = True
    needs_input_grad = ()
    _node = None  # set while backward runs
    _entries = ()  # (tensor or None, number of the output or None, version) each; None once freed

    def save_for_backward(self, *tensors):
        """Keeps tensors for backward, which finds them in ctx.saved_tensors.

        Errors    TypeError for anything but tensors and None; InplaceError in backward where one was changed
                  since
        """
        _all_tensors(tensors, "save_for_backward can only save variables, but argument {k} is of type {name}")
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keeps tensors for jvp(), which finds them in ctx.saved_tensors.

        Example   >>> class Square(torch.autograd.Function):
                  ...     @staticmethod
                  ...     def forward(ctx, x):
                  ...         ctx.save_for_forward(x)
                  ...         return x * x
                  ...
                  ...     @staticmethod
                  ...     def jvp(ctx, tangent):
                  ...         return 2 * ctx.saved_tensors[0] * tangent
                  >>> import pullback.autograd.forward_ad as fwAD
                  >>> with fwAD.dual_level():
                  ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
                  ...     fwAD.unpack_dual(Square.apply(x)).tangent
                  tensor(6.)
        """
        _all_tensors(tensors, "save_for_forward can only save variables, but argument {k} is of type {name}")
        self.saved_for_forward = tensors

    def mark_dirty(self, *args):
        """Tells which inputs forward changed in place; they must be outputs too.

        Example   >>> class Add(torch.autograd.Function):
                  ...     @staticmethod
                  ...     def forward(ctx, x):
                  ...         ctx.mark_dirty(x)
                  ...         return x.add_(1)
                  ...
                  ...     @staticmethod
                  ...     def backward(ctx, g):
                  ...         return g
                  >>> y = torch.zeros(2, requires_grad=True) * 1
                  >>> Add.apply(y) is y
                  True
        """
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args):
        """Tells which outputs have no gradient.

        Example   >>> class Signed(torch.autograd.Function):
                  ...     @staticmethod
                  ...     def forward(ctx, x):
                  ...         sign = x.sign()
                  ...         ctx.mark_non_differentiable(sign)
                  ...         return x.abs(), sign
                  ...
                  ...     @staticmethod
                  ...     def backward(ctx, g, _):
                  ...         return g
                  >>> [out.requires_grad for out in Signed.apply(torch.tensor([-1.0], requires_grad=True))]
                  [True, False]
        """
        self.non_differentiable = args

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (the default) or None for outputs without a gradient.

        Example   >>> class Both(torch.autograd.Function):
                  ...     @staticmethod
                  ...     def forward(ctx, x):
                  ...         ctx.set_materialize_grads(False)
                  ...         return x.clone(), x.clone()
                  ...
                  ...     @staticmethod
                  ...     def backward(ctx, g, unused):
                  ...         print(unused)
                  ...         return g
                  >>> Both.apply(torch.ones(1, requires_grad=True))[0].sum().backward()
                  None
        """
        if not isinstance(value, bool):
            raise TypeError(
                "set_materialize_grads received an invalid combination of arguments - got (), but "
                "expected (bool)\n"
                f"It was given {type(value).__name__}."
            )
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        """What save_for_backward() was given.

        Errors    GradError once a backward has freed them
        """
        return self.saved_at(self._node)

    def saved_at(self, node):
        """What was saved; the results among them at their places on the node."""
        if self._entries is None:
            raise GradError(_FREED)
        return tuple(self._unpack(node, *e) for e in self._entries)

    def push_forward(self, tangents, kept):
        """The user's jvp() on the tangents of the arguments, with what save_for_forward() kept."""
        before = self._entries
        self._entries = tuple((t, None, 0 if t is None else _core.change_count(t)) for t in kept)
        try:
            return self._forward_cls.jvp(self, *tangents)
        finally:
            self._entries = before

    @property
    def saved_variables(self):
        """saved_tensors under its old name."""
        warnings.warn(
            "'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2
        )
        return self.saved_tensors

    def __getattr__(self, name):
        # In torch ctx is the node itself.
        node = self.__dict__.get("_node")
        if name in _OF_THE_NODE and node is not None:
            return getattr(node, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def _raw_saved_tensors(self):
        if self._entries is None:
            raise GradError(_FREED)
        return tuple(of_context(self, k) for k in range(len(self._entries)))

    def _maker(self, tensor, output):
        if output is not None:
            return f", which is output {output} of {type(self).__name__.removesuffix('Backward')},"
        return maker(tensor)

    def _unpack(self, node, tensor, output, version):
        if tensor is None:
            return None
        if isinstance(tensor, Packed):
            return tensor.restore(None if output is None else node and (node, output))
        if _core.change_count(tensor) != version:
            raise changed_since(tensor, version, self._maker(tensor, output), node)
        if output is None or node is None:
            return tensor
        return _core.function_saved(node, output, tensor)


def _all_tensors(values, text):
    for k, t in enumerate(values):
        if t is not None and not isinstance(t, _core.Tensor):
            raise TypeError(text.format(k=k, name=type(t).__name__))
