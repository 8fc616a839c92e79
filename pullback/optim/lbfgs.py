"""L-BFGS: Newton's method with a Hessian made of the last steps (Liu & Nocedal, 1989)."""

from __future__ import annotations

from pullback import _api as torch
from pullback.optim.line_search import strong_wolfe
from pullback.optim.optimizer import Optimizer
from pullback.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Each step takes up to ``max_iter`` iterations, for which it computes the loss anew by its closure.

    ``line_search_fn`` is None (each iteration goes ``lr`` far) or "strong_wolfe". All parameters are one
    vector: there is one group. Memory grows with ``history_size`` times the parameters.

    Errors    ValueError for several groups; RuntimeError for another line search
    Source    Nocedal & Wright, Numerical Optimization, 2006, chapter 7
    Example   >>> p = torch.tensor([1.0, 5.0], requires_grad=True)
              >>> optimizer = torch.optim.LBFGS([p], line_search_fn="strong_wolfe")
              >>> def closure():
              ...     optimizer.zero_grad()
              ...     loss = ((p - 3.0) ** 4).sum()
              ...     loss.backward()
              ...     return loss
              >>> for _ in range(3):
              ...     loss = optimizer.step(closure)
              >>> bool(((p - 3.0).abs() < 0.1).all())
              True
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gradient(self):
        """All gradients as one vector."""
        return torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self._params], 0
        )

    def _move(self, length, direction):
        """Every parameter goes `length` along its part of the direction."""
        start = 0
        for p in self._params:
            p.add_(direction[start : start + p.numel()].view_as(p), alpha=float(length))
            start += p.numel()

    def _evaluate(self, closure, places, length, direction):
        """Loss and gradient `length` away; the parameters come back."""
        self._move(length, direction)
        loss = float(closure())
        gradient = self._gradient()
        for p, place in zip(self._params, places, strict=True):
            p.copy_(place)
        return loss, gradient

    @staticmethod
    def _direction(own, gradient, history):
        """Minus the gradient through the inverse Hessian that the last steps tell of."""
        if own["n_iter"] == 1:
            own.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return gradient.neg()
        dirs, steps, ro = own["old_dirs"], own["old_stps"], own["ro"]
        y, s = gradient.sub(own["prev_flat_grad"]), own["d"].mul(own["t"])
        ys = y.dot(s)
        if ys > 1e-10:
            if len(dirs) == history:
                for kept in (dirs, steps, ro):
                    kept.pop(0)
            dirs.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            own["H_diag"] = ys / y.dot(y)
        q = gradient.neg()
        al = own["al"] = [None] * history
        for i in reversed(range(len(dirs))):
            al[i] = steps[i].dot(q) * ro[i]
            q.add_(dirs[i], alpha=-al[i].item())
        d = torch.mul(q, own["H_diag"])
        for i in range(len(dirs)):
            d.add_(steps[i], alpha=(al[i] - dirs[i].dot(d) * ro[i]).item())
        return d

    def _iterate(self, closure, group, own, loss, gradient, evaluations):
        """Iterations from a loss and its gradient until one of the limits is reached."""
        change, flat = group["tolerance_change"], group["tolerance_grad"]
        search = group["line_search_fn"]
        for n in range(1, group["max_iter"] + 1):
            own["n_iter"] += 1
            d = own["d"] = self._direction(own, gradient, group["history_size"])
            own["prev_flat_grad"], own["prev_loss"] = gradient.clone(), loss
            first = own["n_iter"] == 1
            own["t"] = t = min(1.0, 1.0 / gradient.abs().sum()) * group["lr"] if first else group["lr"]
            slope = gradient.dot(d)
            if slope > -change:
                return
            before, count = loss, 1
            if search is not None:
                places = [p.clone(memory_format=torch.contiguous_format) for p in self._params]
                best, count = strong_wolfe(
                    lambda t, d=d, places=places: self._evaluate(closure, places, t, d),
                    *(d, t, loss, gradient, slope, change),
                )
                loss, gradient, own["t"] = best.value, best.gradient, best.t
                self._move(best.t, d)
            else:
                self._move(t, d)
                if n == group["max_iter"]:  # the loss at the end is the caller's affair
                    return
                loss, gradient = float(closure()), self._gradient()
            evaluations += count
            own["func_evals"] += count
            if n == group["max_iter"] or evaluations >= group["max_eval"] or gradient.abs().max() <= flat:
                return
            if d.mul(own["t"]).abs().max() <= change or abs(loss - before) < change:
                return

    @torch.no_grad()
    def step(self, closure):
        """Several iterations; ``closure`` clears the gradients, computes the loss, its gradients, and returns
        it."""
        closure = torch.enable_grad()(closure)
        group, own = self.param_groups[0], self.state[self._params[0]]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        own.setdefault("func_evals", 0)
        own.setdefault("n_iter", 0)
        first = closure()
        own["func_evals"] += 1
        gradient = self._gradient()
        if gradient.abs().max() > group["tolerance_grad"]:
            self._iterate(closure, group, own, float(first), gradient, 1)
        return first
