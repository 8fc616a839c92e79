// backward and what belongs to it: requests to the engine, hooks of tensors, grad mode.
#include "bindings/tape.h"

#include "bindings/functions.h"
#include "bindings/node_object.h"
#include "bindings/op_function.h"
#include "bindings/override.h"
#include "core/shape.h"
#include "tape/transform.h"
#include "tape/views.h"
#include "tape/watch.h"

namespace pb::py {
namespace {

PyObject* detach(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    TensorObject* t = new_tensor(detached(as_tensor(self)->var), class_of_results(self));
    return reinterpret_cast<PyObject*>(t);
  });
}

PyObject* detach_in_place(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    TensorObject* t = as_tensor(self);
    if (inference_mode()) return Py_NewRef(self);
    if (t->base) {
      fail(ErrorKind::Runtime, "Can't detach views in-place. Use detach() instead. If you are using ",
           "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, "
           "gradients are ",
           "views of DDP buckets, and hence detach_() cannot be called on these gradients. To fix this "
           "error, please ",
           "refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution.");
    }
    if (is_leaf(t)) set_requires_grad(t, false);
    leave_leaf(t);
    t->var.node = nullptr;
    t->var.nr = 0;
    if (t->views) ++t->rebases;  // those that need a gradient because it did no longer do
    t->retains_grad = false;
    return Py_NewRef(self);
  });
}

Function kind_name("pullback.arguments", "kind_name");

// requires_grad_() takes one argument, by place or by name.
void check_named(Py_ssize_t n, PyObject* kwnames) {
  if (n > 1)
    fail(ErrorKind::Type, "requires_grad_() takes from 0 to 1 positional arguments but ", n, " were given");
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(kwnames); ++k) {
    PyObject* name = PyTuple_GET_ITEM(kwnames, k);
    if (PyUnicode_CompareWithASCIIString(name, "requires_grad") != 0) {
      fail(ErrorKind::Type, "requires_grad_() got an unexpected keyword argument '", PyUnicode_AsUTF8(name),
           "'");
    }
  }
  if (n) fail(ErrorKind::Type, "requires_grad_() got multiple values for argument 'requires_grad'");
}

PyObject* requires_grad_(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    const Py_ssize_t all = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (n > 1 || kwnames) check_named(n, kwnames);
    if (all && !PyBool_Check(args[0])) {
      const Owned found = own(kind_name(args[0]));
      fail(ErrorKind::Type, "requires_grad_(): argument 'requires_grad'", n ? " (position 1)" : "",
           " must be bool, not ", PyUnicode_AsUTF8(found.get()));
    }
    set_requires_grad(as_tensor(self), all == 0 || PyObject_IsTrue(args[0]));
    return Py_NewRef(self);
  });
}

PyObject* retain_grad(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    TensorObject* t = as_tensor(self);
    const Var& v = innermost(var_of(t));
    if (!v.node) fail(ErrorKind::Grad, "can't retain_grad on Tensor that has requires_grad=False");
    if (const LostNode* lost = LostNode::from(v.node.get()); lost && !lost->before) Py_RETURN_NONE;
    check_not_lost(v.node.get());
    if (has_batch(t->var)) {
      fail(
          ErrorKind::Runtime, "You are attempting to call Tensor.retain_grad() inside of a function being ",
          "transformed by a functorch transform. This is unsupported, please attempt to use the functorch ",
          "transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call retain_grad() outside of a function ",
          "being transformed instead.");
    }
    if (v.node->is_leaf() || t->retains_grad) Py_RETURN_NONE;
    t->retains_grad = true;
    extras_of(*v.node).retained.push_back({v.nr, check(PyWeakref_NewRef(self, nullptr))});
    Py_RETURN_NONE;
  });
}

// The dict that holds a tensor's hooks; Python adds an entry and makes the handle.
PyObject* hook_dict(PyObject* self, PyObject* which) {
  return guarded([&]() -> PyObject* {
    const Var& v = var_of(self);
    const std::string_view kind = PyUnicode_AsUTF8(which);
    if (kind == "present") {  // the tensor's hooks, if it ever had any
      auto* e = v.node ? static_cast<PyNodeExtras*>(v.node->extras.get()) : nullptr;
      if (!e || !e->tensor_hooks.contains(v.nr)) Py_RETURN_NONE;
      return Py_NewRef(e->tensor_hooks[v.nr].get());
    }
    check_not_lost(v.node.get());
    if (!v.node) fail(ErrorKind::Grad, "cannot register a hook on a tensor that doesn't require gradient");
    if (leads_nowhere(v.node.get())) return PyODict_New();  // no gradient ever comes
    PyNodeExtras& e = extras_of(*v.node);
    Owned& d = kind == "accumulate" ? e.accumulate_hooks : e.tensor_hooks[v.nr];
    if (!d) d = own(PyODict_New());
    return Py_NewRef(d.get());
  });
}

PyObject* gradient_edge(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    const Var& v = var_of(self);
    check_not_lost(v.node.get());
    if (!v.node || leads_nowhere(v.node.get())) Py_RETURN_NONE;
    Owned node = own(node_object(v.node));
    return Py_BuildValue("(OI)", node.get(), v.nr);
  });
}

// Where one tensor lies on the tape is taken over by another: for results of Python functions.
PyObject* take_history(PyObject* self, PyObject* other) {
  return guarded([&]() -> PyObject* {
    const Var v = var_of(other);
    rebase_history(as_tensor(self), v.node, v.nr);
    Py_RETURN_NONE;
  });
}

PyObject* check_writable_py(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    check_writable(as_tensor(self));
    Py_RETURN_NONE;
  });
}

// Where a tensor lies on the tape, or the place that a GradientEdge (node, output number) names.
Var place_of(PyObject* o) {
  Var v;
  if (!PyTuple_Check(o)) {
    v = var_of(o);
    check_not_lost(v.node.get());
    if (leads_nowhere(v.node.get())) v.node = nullptr;
    return v;
  }
  v.node = node_from_object(PyTuple_GetItem(o, 0));
  v.nr = output_of(*v.node, PyTuple_GetItem(o, 1));
  if (const Meta* m = v.node->output_meta(v.nr)) v.array.meta = Ref<Meta>(const_cast<Meta*>(m));
  return v;
}

Root root_of(PyObject* tensor, PyObject* gradient) {
  const Var v = place_of(tensor);
  if (!v.node) {
    fail(ErrorKind::Grad, "element 0 of tensors does not require grad and does not have a grad_fn\n",
         "Nothing that this value depends on asks for a gradient: set requires_grad=True on the tensors to ",
         "differentiate by, and check for detach(), .item(), .numpy() or no_grad() on the way.");
  }
  Root r{v.node, v.nr, {}};
  if (gradient != Py_None) r.cotangent = var_of(gradient);
  else {
    Array ones = Array::allocate(Meta::contiguous(v.array.meta->dtype, v.array.meta->shape()));
    fill_elements(ones, Scalar::of_int(1));
    r.cotangent.array = std::move(ones);
  }
  return r;
}

// Anomaly mode also stops at a nan that no gradient shows, as that of `loss + nan`. Torch's own error, about a
// gradient, comes first where there is one.
void refuse_nan(PyObject* tensor, Py_ssize_t k) {
  if (!(g_watched & kWatchNan)) return;
  const Var v = place_of(tensor);
  if (!v.array.storage || !has_nan(v.array)) return;  // an edge has no elements
  if (v.node) g_watcher->failed(*v.node);
  fail(ErrorKind::Runtime, "Output ", k, " given to backward is nan",
       v.node ? concat(" (it comes from ", v.node->name(), ")") : std::string(),
       ", although no gradient is.\nRun the forward pass under pullback.debug.nonfinite(): it stops at the "
       "first operation that makes a nan.");
}

}  // namespace

PyObject* run_backward_py(PyObject* tensors, PyObject* gradients, PyObject* inputs, bool keep_graph,
                          bool create_graph, bool accumulate, std::span<const Ref<Level>> along) {
  BackwardRequest request;
  request.mode = {keep_graph, create_graph, along};
  PythonObserver observer;
  request.observer = &observer;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tensors); ++i)
    request.roots.push_back(root_of(PyTuple_GET_ITEM(tensors, i), PyTuple_GET_ITEM(gradients, i)));
  auto refuse_nans = [&] {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tensors); ++i) refuse_nan(PyTuple_GET_ITEM(tensors, i), i);
  };
  if (inputs == Py_None) {
    run_backward(request);
    refuse_nans();
    Py_RETURN_NONE;
  }
  std::vector<Target> targets;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
    const Var v = place_of(PyTuple_GET_ITEM(inputs, i));
    targets.push_back({v.node, v.nr, {}});
  }
  request.targets = &targets;
  request.accumulate_into_targets_only = accumulate;
  run_backward(request);
  refuse_nans();
  Owned out = own(PyTuple_New(static_cast<Py_ssize_t>(targets.size())));
  for (size_t i = 0; i < targets.size(); ++i) {
    Target& t = targets[i];
    if (accumulate) {
      PyTuple_SET_ITEM(out.get(), i, Py_NewRef(Py_None));  // leaves and retained gradients have it by now
    } else if (!t.gradient.array.storage) {
      PyTuple_SET_ITEM(out.get(), i, Py_NewRef(Py_None));
    } else {
      if (!create_graph) t.gradient.node = nullptr;
      PyTuple_SET_ITEM(out.get(), i, wrap(std::move(t.gradient)));
    }
  }
  return out.release();
}

namespace {

// As C reads a flag in torch: a whole number that fits into a byte.
bool flag_of(PyObject* o) {
  if (PyBool_Check(o)) return o == Py_True;
  unsigned char byte = 0;
  if (!PyArg_Parse(o, "b", &byte)) throw PythonError();
  return byte != 0;
}

PyObject* backward_below_layers(PyObject* tensor, PyObject* keep_graph) {
  const Owned module = own(PyImport_ImportModule("pullback.autograd.backward"));
  return check(PyObject_CallMethod(module.get(), "backward", "OOO", tensor, Py_None, keep_graph));
}

// backward() of a scalar, the usual case, without a Python frame. Its one argument: whether to keep the graph.
PyObject* backward_plain(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (var_of(self).layer) return backward_below_layers(self, n > 0 ? args[0] : Py_None);
    const Meta& m = *var_of(self).array.meta;
    if (m.numel != 1 && var_of(self).node) {
      fail(ErrorKind::Grad, "grad can be implicitly created only for scalar outputs\nThis tensor has shape ",
           shape_text(m.shape()), ": reduce it first (sum or mean), or give the gradient to start from: ",
           "y.backward(torch.ones_like(y)).");
    }
    BackwardRequest request;
    request.mode.keep_graph = n > 0 && args[0] != Py_None && flag_of(args[0]);
    PythonObserver observer;
    request.observer = &observer;
    request.roots.push_back(root_of(self, Py_None));
    run_backward(request);
    refuse_nan(self, 0);
    Py_RETURN_NONE;
  });
}

PyObject* flags(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Owned out = own(PyTuple_New(n));
    for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(out.get(), i, boolean(flag_of(args[i])));
    return out.release();
  });
}

}  // namespace

PyMethodDef tape_functions[] = {
    {"flags", method(flags), METH_FASTCALL, "The arguments as bools, read as torch's C reads flags."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef tape_methods[] = {
    {"detach", detach, METH_NOARGS,
     "The same elements, off the tape: what is computed from it gives this tensor no gradient.\n"
     "\n"
     "Shapes    (*) -> (*), over the same memory\n"
     "Gradient  none\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> x.detach().requires_grad\n"
     "          False\n"},
    {"detach_", detach_in_place, METH_NOARGS,
     "Takes this tensor off the tape, in place.\n"
     "\n"
     "Errors    RuntimeError for a view\n"
     "Example   >>> y = torch.ones(2, requires_grad=True) * 2\n"
     "          >>> y.detach_().requires_grad\n"
     "          False\n"},
    {"requires_grad_", method(requires_grad_), METH_FASTCALL | METH_KEYWORDS,
     "Asks for a gradient of this leaf (or, with False, for none), and returns it.\n"
     "\n"
     "Errors    RuntimeError for a tensor that is no leaf, or holds no floats\n"
     "Example   >>> torch.ones(2).requires_grad_()\n"
     "          tensor([1., 1.], requires_grad=True)\n"},
    {"retain_grad", retain_grad, METH_NOARGS,
     "Keeps this non-leaf's gradient in .grad; of a leaf it is kept anyway.\n"
     "\n"
     "Errors    RuntimeError for a tensor that needs no gradient\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> y = x * 2\n"
     "          >>> y.retain_grad()\n"
     "          >>> y.sum().backward()\n"
     "          >>> y.grad\n"
     "          tensor([1., 1.])\n"},
    {"_hook_dict", hook_dict, METH_O, "The dict of this tensor's hooks."},
    {"_gradient_edge", gradient_edge, METH_NOARGS, "(node, output number), or None."},
    {"_take_history", take_history, METH_O, "Becomes the result that another tensor stands for."},
    {"_check_writable", check_writable_py, METH_NOARGS, "Torch's refusals of an in-place change."},
    {"_backward_plain", method(backward_plain), METH_FASTCALL, "backward(), perhaps with the graph kept."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
