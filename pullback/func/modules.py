"""Modules as functions of their parameters: functional_call, stack_module_state."""

from __future__ import annotations

from pullback import _core
from pullback.trace.tracer import functions as f


def _one_dict(given):
    if isinstance(given, dict):
        return dict(given)
    if not isinstance(given, (list, tuple)) or not all(isinstance(d, dict) for d in given):
        kind = type(given)
        if isinstance(given, (list, tuple)):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries\n"
                f"They are {[type(d).__name__ for d in given]}."
            )
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {kind}"
        )
    seen: dict = {}
    repeated = [k for d in given for k in d if sum(k in other for other in given) > 1]
    if repeated:
        names = list(dict.fromkeys(repeated))
        raise ValueError(
            f"{names} appeared in multiple dictionaries; behavior of functional call is ambiguous"
        )
    for d in given:
        seen.update(d)
    return seen


def _tied(places, given):
    """The given tensors, also for the other names of a tied one."""
    names_of: dict = {}
    for name, (_, _, tensor) in places.items():
        names_of.setdefault(id(tensor), []).append(name)
    out = dict(given)
    for names in names_of.values():
        values = {id(given[n]): given[n] for n in names if n in given}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, "
                "which are tied. Consider using tie_weights=False"
            )
        for name in names:
            for value in values.values():
                out[name] = value
    return out


def _check_names(module, places, names):
    """Raises unless the names are those of the module's tensors, no more and no less."""
    unexpected, missing = sorted(names - places.keys()), sorted(places.keys() - names)
    if not unexpected and not missing:
        return
    text = f"Error(s) in reparametrizing for {type(module).__name__}:"
    if unexpected:
        text += f"\n\tUnexpected key(s): {', '.join(map(repr, unexpected))}."
    if missing:
        text += f"\n\tMissing key(s): {', '.join(map(repr, missing))}."
    raise RuntimeError(text)


def _other_place(module, name):
    """Where a tensor goes that the module does not have: an empty parameter or buffer, or an attribute."""
    *path, key = name.split(".")
    for part in path:
        module = getattr(module, part)
    tables = (t for t in (module._parameters, module._buffers) if key in t)
    return next(tables, vars(module)), key


_NOTHING = object()  # was in a place before


class swapped:
    """For the block, the module with other tensors in the places of its parameters and buffers; put back on
    every path.

    given          name -> tensor; what the module made of them is there afterwards
    tie_weights    a tensor given under one name is there for all names of a tied parameter
    strict         every name must be given (one of several tied ones is enough), and no other
    """

    __slots__ = ("_before", "_how", "_places", "given", "module")

    def __init__(self, module, given, tie_weights=False, strict=False):
        self.module, self.given, self._how = module, given, (tie_weights, strict)

    def __enter__(self):
        tie_weights, strict = self._how
        # Those that are not given may be replaced by the module, and come back too.
        self._places, tied = _core.module_places(self.module)
        self._before = list(self._places.values())
        tensors = _tied(self._places, self.given) if tie_weights and tied else self.given
        if strict:
            _check_names(self.module, self._places, tensors.keys())
        try:
            _core.put_tensors(self._places, tensors, self._elsewhere)
        except BaseException:
            self._put_back()
            raise

    def _elsewhere(self, name):
        table, key = _other_place(self.module, name)
        place = self._places[name] = (table, key, table.get(key, _NOTHING))
        self._before.append(place)
        return place

    def __exit__(self, kind, *error):
        try:
            if kind is None:
                # Buffers that the module replaced or changed are the caller's from now on.
                _core.take_tensors(self._places, self.given)
        finally:
            self._put_back()

    def _put_back(self):
        for table, key, value in reversed(self._before):  # a shared module has several names
            if value is _NOTHING:
                table.pop(key, None)
            else:
                table[key] = value


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """module(*args, **kwargs) with other tensors in the places of its parameters and buffers.

    Gradient    flows to the given tensors
    strict      every name must be given (one of several tied ones is enough), and no other
    Errors      ValueError for names given twice and for different tensors under tied names, RuntimeError
                under strict, TypeError for values that are no tensors

    >>> import pullback as torch
    >>> m = torch.nn.Linear(2, 1, bias=False)
    >>> torch.func.functional_call(m, {"weight": torch.ones(1, 2)}, torch.ones(2))
    tensor([2.])
    """
    given = parameter_and_buffer_dicts if isinstance(parameter_and_buffer_dicts, dict) else None
    given = _one_dict(parameter_and_buffer_dicts) if given is None else given
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with swapped(module, given, tie_weights, strict):
        return module(*args, **({} if kwargs is None else kwargs))


def stack_module_state(models):
    """(parameters, buffers) of several modules of one class, each name's tensors stacked along a new axis 0.

    Errors    RuntimeError for no modules, modules of different classes, or in different modes

    >>> import pullback as torch
    >>> params, _ = torch.func.stack_module_state([torch.nn.Linear(2, 1) for _ in range(3)])
    >>> params["weight"].shape
    torch.Size([3, 1, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != models[0].training for m in models):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {k: _stacked(k, [p[k] for p in params]) for k in params[0]},
        {k: _stacked(k, [b[k] for b in buffers]) for k in buffers[0]},
    )


def _stacked(name, tensors):
    wants = tensors[0].requires_grad
    if any(t.requires_grad != wants for t in tensors):
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    return f["stack"]([t.detach() for t in tensors]).requires_grad_(wants)


def replace_all_batch_norm_modules_(root):
    """Makes every batch norm of a module use the statistics of its batch only, so that vmap can run it.

    >>> import pullback as torch
    >>> torch.func.replace_all_batch_norm_modules_(torch.nn.Linear(2, 1))
    Linear(in_features=2, out_features=1, bias=True)
    """
    for m in root.modules():
        if any(c.__name__ == "_BatchNorm" for c in type(m).__mro__) and m.track_running_stats:
            m.running_mean = m.running_var = m.num_batches_tracked = None
            m.track_running_stats = False
    return root
