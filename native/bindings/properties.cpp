// What a tensor tells about itself: attributes and small native methods.
#include <cctype>

#include "bindings/node_object.h"
#include "bindings/op_function.h"
#include "bindings/override.h"
#include "core/shape.h"
#include "tape/transform.h"

namespace pb::py {
namespace {


std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

const Meta& meta(PyObject* self) { return *as_tensor(self)->var.array.meta; }

PyObject* get_shape(PyObject* self, void*) {
  return guarded([&] { return size_object(meta(self).shape()); });
}
PyObject* get_dtype(PyObject* self, void*) { return Py_NewRef(dtype_object(meta(self).dtype)); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(meta(self).ndim); }
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromLongLong(size_of(meta(self).dtype)); }
PyObject* get_nbytes(PyObject* self, void*) { return PyLong_FromLongLong(meta(self).bytes()); }

PyObject* get_requires_grad(PyObject* self, void*) {
  return guarded([&] { return boolean(requires_grad(as_tensor(self))); });
}
int put_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded_status([&] {
    if (!value || !PyBool_Check(value)) fail(ErrorKind::Runtime, "requires_grad must be a bool");
    if (!is_leaf(as_tensor(self))) {
      fail(ErrorKind::Grad, "you can only change requires_grad flags of leaf variables.",
           value == Py_False ? " If you want to use a computed variable in a subgraph that doesn't require "
                               "differentiation use var_no_grad = var.detach()."
                             : "");
    }
    if (value == Py_True && !is_float(meta(self).dtype)) {
      fail(ErrorKind::Grad,
           "only Tensors of floating point and complex dtype can require gradients\nThis tensor is of ",
           "type ", info(meta(self).dtype).name, "; convert it first, for example with .float().");
    }
    set_requires_grad(as_tensor(self), value == Py_True);
  });
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&] { return boolean(is_leaf(as_tensor(self))); });
}
PyObject* get_retains_grad(PyObject* self, void*) {
  return guarded([&] { return boolean(as_tensor(self)->retains_grad && !is_leaf(as_tensor(self))); });
}
PyObject* get_output_nr(PyObject* self, void*) { return PyLong_FromUnsignedLong(as_tensor(self)->var.nr); }
PyObject* get_version(PyObject* self, void*) {
  return guarded([&] {
    const Storage& s = *as_tensor(self)->var.array.storage;
    if (s.inference)
      fail(ErrorKind::Runtime, "Inference tensors do not track version counter.\nA clone() of it does.");
    return PyLong_FromUnsignedLong(s.version);
  });
}
PyObject* get_base(PyObject* self, void*) {
  PyObject* base = reinterpret_cast<PyObject*>(as_tensor(self)->base);
  return Py_NewRef(base ? base : Py_None);
}
PyObject* get_grad_fn(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    const Var& v = innermost(var_of(self));
    check_not_lost(v.node.get());
    if (!v.node || v.node->is_leaf()) Py_RETURN_NONE;
    return node_object(v.node);
  });
}

// Who has the gradient: below layers, a leaf of its own.
Owned holder_of_grad(PyObject* self) {
  const TensorObject* t = as_tensor(self);
  Node* n = t->var.layer && !t->retains_grad ? innermost(t->var).node.get() : nullptr;
  Owned leaf(n && n->is_leaf() ? static_cast<LeafNode*>(n)->variable() : nullptr);
  return leaf ? std::move(leaf) : Owned::borrow(self);
}

PyObject* get_grad(PyObject* self, void*) {
  TensorObject* t = as_tensor(self);
  if (!t->grad && t->var.layer) {
    const Owned holder = holder_of_grad(self);
    if (holder.get() != self) return get_grad(holder.get(), nullptr);
  }
  const Node* node = innermost(t->var).node.get();
  if (!t->grad && node && !node->is_leaf() && !t->retains_grad) {
    const char* text =
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
        "won't be "
        "populated during autograd.backward(). If you indeed want the .grad field to be populated for a "
        "non-leaf "
        "Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, "
        "make sure "
        "you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more "
        "informations.";
    if (PyErr_WarnEx(PyExc_UserWarning, text, 1) < 0) return nullptr;
  }
  return Py_NewRef(t->grad ? t->grad : Py_None);
}

int put_grad(PyObject* self, PyObject* value, void*) {
  return guarded_status([&] {
    const Owned holder = holder_of_grad(self);
    TensorObject* t = as_tensor(holder.get());
    if (!value || value == Py_None) {
      Py_CLEAR(t->grad);
      return;
    }
    if (!is_tensor(value)) {
      fail(ErrorKind::Type, "assigned grad expected to be a Tensor or None but got grad of type ",
           Py_TYPE(value)->tp_name);
    }
    if (value == self) fail(ErrorKind::Runtime, "can't assign Variable as its own grad");
    const Meta &g = meta(value), &m = meta(self);
    if (g.dtype != m.dtype) {
      fail(ErrorKind::Runtime, "attempting to assign a gradient with dtype '",
           lower(info(g.dtype).scalar_name), "' to a tensor with grad_dtype '", info(m.dtype).scalar_name,
           "'. The gradient must match the tensor's ",
           "grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with "
           "a specific ",
           "dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor "
           "and its ",
           "gradient may break downstream systems that assume they match.\nConvert the gradient first.");
    }
    if (!std::ranges::equal(g.shape(), m.shape())) {
      fail(ErrorKind::Runtime, "attempting to assign a gradient of size '", shape_text(g.shape()),
           "' to a tensor of size '", shape_text(m.shape()),
           "'. Please ensure that the gradient and the tensor are ", "the same size");
    }
    Py_XSETREF(t->grad, Py_NewRef(value));
  });
}

Owned gradient_of(PyObject* parameter) {
  if (is_plain(parameter)) return own(get_grad(parameter, nullptr));
  return own(PyObject_GetAttrString(parameter, "grad"));
}

// For optimizers, which ask for the gradients of all parameters at every step.
PyObject* with_gradients(PyObject*, PyObject* parameters) {
  return guarded([&]() -> PyObject* {
    const Owned all = own(PySequence_List(parameters)), having = own(PyList_New(0)),
                gradients = own(PyList_New(0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all.get()); ++i) {
      PyObject* p = PyList_GET_ITEM(all.get(), i);
      const Owned g = gradient_of(p);
      if (g.get() == Py_None) continue;
      check(PyList_Append(having.get(), p));
      check(PyList_Append(gradients.get(), g.get()));
    }
    return check(PyTuple_Pack(2, having.get(), gradients.get()));
  });
}

PyObject* forget_gradients(PyObject*, PyObject* parameters) {
  return guarded([&]() -> PyObject* {
    const Owned all = own(PySequence_List(parameters));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all.get()); ++i) {
      PyObject* p = PyList_GET_ITEM(all.get(), i);
      if (is_plain(p)) Py_CLEAR(as_tensor(p)->grad);
      else check(PyObject_SetAttrString(p, "grad", Py_None));
    }
    Py_RETURN_NONE;
  });
}

PyObject* get_data(PyObject* self, void*) {
  return guarded([&] {
    const Array& a = as_tensor(self)->var.array;
    PyTypeObject* type = class_of_results(self);
    if (as_tensor(self)->var.layer)
      return reinterpret_cast<PyObject*>(new_tensor(detached(as_tensor(self)->var), type));
    Array alias{Storage::alias(a.storage), a.meta, a.offset};
    return reinterpret_cast<PyObject*>(new_tensor({std::move(alias), nullptr, 0}, type));
  });
}

int put_data(PyObject* self, PyObject* value, void*) {
  return guarded_status([&] {
    if (!value) fail(ErrorKind::Runtime, "Deleting tensor data is not allowed. Delete tensor instead!");
    if (!is_tensor(value))
      fail(ErrorKind::Type, "Variable data has to be a tensor, but got ",
           value ? Py_TYPE(value)->tp_name : "nothing");
    TensorObject* t = as_tensor(self);
    const Array& a = as_tensor(value)->var.array;
    if (t->var.node && !is_float(a.meta->dtype))
      fail(ErrorKind::Runtime,
           "data set to a tensor that requires gradients must be floating point or complex dtype");
    const uint32_t version = t->var.array.storage->version;
    t->var.array = {Storage::alias(a.storage), a.meta, a.offset};
    t->var.array.storage->version = version;
  });
}

// What torch calls H, mT, mH and adjoint() in its messages, and what it tells of them where there are no axes.
struct Transposing {
  const char *name, *error_name, *advice;
  bool one_matrix = false;  // no batches of them
  bool warned = false;      // torch warns once in a program
};
Transposing H{"Tensor.H", "tensor.H", "Consider using x.conj().", true};
Transposing mT{"Tensor.mT", "tensor.mT", "This function is the identity in these cases."};
Transposing mH{"Tensor.mH", "tensor.mH", "Consider using x.conj()."};
Transposing of_adjoint{"adjoint()", "tensor.adjoint()", "Consider using x.conj()."};

[[noreturn]] void refuse_axes(const Transposing& it, int n) {
  const bool batch = it.one_matrix && n > 2;
  fail(ErrorKind::Runtime, it.error_name, " is only supported on matrices ",
       it.one_matrix ? "(2-D tensors)" : "or batches of matrices", ". Got ", n, "-D tensor.",
       batch ? " For batches of matrices, consider using tensor.mH" : "",
       batch ? "" : "\nA vector has one axis: unsqueeze() gives it another.");
}

PyObject* transpose_matrices(PyObject* self, void* names) {
  return guarded([&]() -> PyObject* {
    auto& it = *static_cast<Transposing*>(names);
    static const Op* transpose = find_op("transpose");
    const int n = meta(self).ndim;
    if (n == 0) {
      const std::string warning = concat(it.name, " is deprecated on 0-D tensors. ", it.advice);
      if (!std::exchange(it.warned, true) && PyErr_WarnEx(PyExc_UserWarning, warning.c_str(), 1) < 0)
        throw PythonError();
      return Py_NewRef(self);
    }
    if (n == 1 || (it.one_matrix && n != 2)) refuse_axes(it, n);
    const Argument args[1] = {{&var_of(self), {}}};
    const int64_t ints[2] = {-2, -1};
    return call_op(transpose, args, ints, 0, as_tensor(self));
  });
}

PyObject* get_T(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    static const Op* permute = find_op("permute");
    const int n = meta(self).ndim;
    const char* warning =
        n == 0
            ? "Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases."
            : "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated "
              "and it "
              "will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
              "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.";
    static bool warned[2] = {};  // torch warns once in a program, of each
    if (n != 2 && !std::exchange(warned[n == 0], true) && PyErr_WarnEx(PyExc_UserWarning, warning, 1) < 0)
      throw PythonError();
    std::vector<int64_t> ints{n};
    for (int i = n - 1; i >= 0; --i) ints.push_back(i);
    const Argument args[1] = {{&var_of(self), {}}};
    return call_op(permute, args, ints, 0, as_tensor(self));
  });
}

}  // namespace

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr,
     "The sizes of the axes, as a torch.Size.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).shape\n"
     "          torch.Size([2, 3])\n",
     nullptr},
    {"dtype", get_dtype, nullptr,
     "The type of the elements.\n"
     "\n"
     "Example   >>> torch.ones(2).dtype\n"
     "          torch.float32\n",
     nullptr},
    {"ndim", get_ndim, nullptr,
     "The number of axes.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).ndim\n"
     "          2\n",
     nullptr},
    {"itemsize", get_itemsize, nullptr,
     "Bytes of one element.\n"
     "\n"
     "Example   >>> torch.ones(2).itemsize\n"
     "          4\n",
     nullptr},
    {"nbytes", get_nbytes, nullptr,
     "Bytes of all elements.\n"
     "\n"
     "Example   >>> torch.ones(2).nbytes\n"
     "          8\n",
     nullptr},
    {"requires_grad", get_requires_grad, put_requires_grad,
     "Whether gradients are recorded; may be set on leaves.\n"
     "\n"
     "Errors    RuntimeError when it is taken away from a tensor that is no leaf\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> x.requires_grad, (x * 2).requires_grad, x.detach().requires_grad\n"
     "          (True, True, False)\n",
     nullptr},
    {"is_leaf", get_is_leaf, nullptr,
     "Whether no recorded operation made this tensor.\n"
     "\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> x.is_leaf, (x * 2).is_leaf\n"
     "          (True, False)\n",
     nullptr},
    {"retains_grad", get_retains_grad, nullptr,
     "Whether a non-leaf keeps its gradient.\n"
     "\n"
     "Example   >>> y = torch.ones(2, requires_grad=True) * 2\n"
     "          >>> y.retain_grad()\n"
     "          >>> y.retains_grad\n"
     "          True\n",
     nullptr},
    {"output_nr", get_output_nr, nullptr,
     "Which output of grad_fn this is.\n"
     "\n"
     "Example   >>> torch.ones(2, requires_grad=True).unbind()[1].output_nr\n"
     "          1\n",
     nullptr},
    {"_version", get_version, nullptr, "How often the elements were changed in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor that this one is a view of.", nullptr},
    {"grad_fn", get_grad_fn, nullptr,
     "The node that made this tensor; None of a leaf.\n"
     "\n"
     "Example   >>> (torch.ones(2, requires_grad=True) * 2).grad_fn.name()\n"
     "          'MulBackward0'\n",
     nullptr},
    {"grad", get_grad, put_grad,
     "The gradient accumulated by backward(); None before.\n"
     "\n"
     "Shapes    the tensor's\n"
     "Errors    TypeError, RuntimeError when something of another type or shape is put there\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> (x * 3).sum().backward()\n"
     "          >>> x.grad\n"
     "          tensor([3., 3.])\n",
     nullptr},
    {"data", get_data, put_data,
     "The same elements outside the tape.\n"
     "\n"
     "Example   >>> x = torch.ones(2, requires_grad=True)\n"
     "          >>> x.data += 1\n"
     "          >>> x\n"
     "          tensor([2., 2.], requires_grad=True)\n",
     nullptr},
    {"mT", transpose_matrices, nullptr,
     "The last two axes swapped.\n"
     "\n"
     "Shapes    (*, n, m) -> (*, m, n): a view\n"
     "Gradient  g with the axes swapped back\n"
     "Example   >>> torch.tensor([[1.0, 2.0]]).mT\n"
     "          tensor([[1.],\n"
     "                  [2.]])\n",
     &mT},
    {"mH", transpose_matrices, nullptr,
     "The last two axes swapped: there are no complex elements to conjugate.\n"
     "\n"
     "Shapes    (*, n, m) -> (*, m, n): a view\n"
     "Gradient  g with the axes swapped back\n"
     "Example   >>> torch.tensor([[1.0, 2.0]]).mH\n"
     "          tensor([[1.],\n"
     "                  [2.]])\n",
     &mH},
    {"H", transpose_matrices, nullptr,
     "The matrix transposed: there are no complex elements to conjugate.\n"
     "\n"
     "Shapes    (n, m) -> (m, n): a view\n"
     "Gradient  g transposed\n"
     "Errors    RuntimeError for a tensor that is no matrix\n"
     "Example   >>> torch.tensor([[1.0, 2.0]]).H\n"
     "          tensor([[1.],\n"
     "                  [2.]])\n",
     &H},
    {"_adjoint", transpose_matrices, nullptr, "adjoint().", &of_adjoint},
    {"T", get_T, nullptr,
     "All axes in reverse order.\n"
     "\n"
     "Shapes    (a, b) -> (b, a): a view\n"
     "Gradient  g with the axes put back\n"
     "Example   >>> torch.tensor([[1.0, 2.0]]).T\n"
     "          tensor([[1.],\n"
     "                  [2.]])\n",
     nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef gradient_functions[] = {
    {"with_gradients", with_gradients, METH_O,
     "(those of the parameters that have a gradient, the gradients)"},
    {"forget_gradients", forget_gradients, METH_O, "Sets the gradients of parameters to None."},
    {nullptr, nullptr, 0, nullptr},
};

Py_hash_t tensor_hash(PyObject* self) {
  return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(self));  // its id, as in torch
}

}  // namespace pb::py
