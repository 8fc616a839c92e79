// Elements in and out: numbers, memory of other libraries, fills and copies.
#include <cmath>
#include <cstring>
#include <optional>

#include "bindings/op_function.h"
#include "core/shape.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace pb::py {
namespace {

const Array& array(PyObject* self) { return as_tensor(self)->var.array; }

PyObject* item(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    const Array a = readable(self);
    if (a.meta->numel != 1) {
      fail(ErrorKind::Runtime, "a Tensor with ", a.meta->numel, " elements cannot be converted to Scalar\n",
           "item() reads a tensor of one element; use tolist() or numpy() for more.");
    }
    return scalar_object(load_scalar(a.meta->dtype, a.data()));
  });
}

// The only argument, `dim`, by position or by name; null where it is left out or None.
PyObject* dim_argument(const char* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  const Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  if (n + named > 1)
    fail(ErrorKind::Type, function, "() takes 1 positional argument but ", n + named, " were given");
  if (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "dim") != 0) {
    fail(ErrorKind::Type, function, "() got an unexpected keyword argument '",
         PyUnicode_AsUTF8(PyTuple_GET_ITEM(kwnames, 0)), "'");
  }
  if (n + named == 0 || args[0] == Py_None) return nullptr;
  if (!PyIndex_Check(args[0]) || PyFloat_Check(args[0])) {
    fail(ErrorKind::Type, function, "(): argument 'dim' (position 1) must be int, not ",
         Py_TYPE(args[0])->tp_name);
  }
  return args[0];
}

int64_t axis_from(PyObject* o) {
  Owned number = own(PyNumber_Index(o));
  const int64_t axis = PyLong_AsLongLong(number.get());
  if (axis == -1 && PyErr_Occurred()) throw PythonError();
  return axis;
}

PyObject* size(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    const Meta& m = *array(self).meta;
    PyObject* dim = dim_argument("size", args, n, kwnames);
    if (!dim) return size_object(m.shape());
    const int64_t axis = axis_from(dim);
    if (m.ndim == 0) fail(ErrorKind::Index, "Dimension specified as ", axis, " but tensor has no dimensions");
    return PyLong_FromLongLong(m.size(wrap_axis(axis, m.ndim)));
  });
}

PyObject* stride(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    const Meta& m = *array(self).meta;
    if (PyObject* dim = dim_argument("stride", args, n, kwnames))
      return PyLong_FromLongLong(m.stride(wrap_axis(axis_from(dim), m.ndim)));
    PyObject* t = PyTuple_New(m.ndim);
    for (int i = 0; i < m.ndim; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(m.stride(i)));
    return t;
  });
}

PyObject* dim(PyObject* self, PyObject*) { return PyLong_FromLong(array(self).meta->ndim); }
PyObject* numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(array(self).meta->numel); }
PyObject* element_size(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(size_of(array(self).meta->dtype));
}
PyObject* storage_offset(PyObject* self, PyObject*) { return PyLong_FromLongLong(array(self).offset); }
PyObject* data_ptr(PyObject* self, PyObject*) {
  return guarded([&] {
    const Array a = readable(self);
    return PyLong_FromVoidPtr(a.meta->numel ? a.data() : nullptr);
  });
}
PyObject* storage_ptr(PyObject* self, PyObject*) {
  return guarded([&] { return PyLong_FromVoidPtr(readable(self).storage->data()); });
}
PyObject* storage_bytes(PyObject* self, PyObject*) { return PyLong_FromSize_t(array(self).storage->bytes()); }
PyObject* is_contiguous(PyObject* self, PyObject* const*, Py_ssize_t, PyObject*) {
  return boolean(array(self).meta->is_contiguous);
}
PyObject* is_inference(PyObject* self, PyObject*) {
  const Storage* memory = array(self).storage.get();
  return boolean(memory && memory->inference);
}
PyObject* is_dense(PyObject* self, PyObject*) { return boolean(array(self).meta->is_dense); }

PyObject* shares_memory(PyObject* self, PyObject* other) {
  return boolean(is_tensor(other) && same_memory(array(self), array(other)));
}

PyObject* count_from_zero(PyObject* self, PyObject*) {
  array(self).storage->version = 0;
  Py_RETURN_NONE;
}

PyObject* bump_version(PyObject* self, PyObject*) {
  count_change(*as_tensor(self)->var.array.storage);
  Py_RETURN_NONE;
}

// A view of the whole tensor, as an instance of a subclass.
PyObject* as_subclass(PyObject* self, PyObject* cls) {
  return guarded([&]() -> PyObject* {
    static const Op* alias = find_op("alias");
    if (!PyType_Check(cls)) fail(ErrorKind::Type, "cls must be a type (got ", Py_TYPE(cls)->tp_name, ")");
    if (!PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type)) {
      fail(ErrorKind::Type,
           "Creating a Tensor subclass from a class that does not inherit from Tensor is not ",
           "possible. Make sure your class inherits from Tensor.");
    }
    const Argument args[1] = {{&var_of(self), {}}};
    return wrap_one(apply_one({alias, args, {}, 0}), as_tensor(self), reinterpret_cast<PyTypeObject*>(cls));
  });
}

// A result of the call that just ended, as an instance of a subclass: at the same place on the tape.
PyObject* as_class(PyObject* self, PyObject* cls) {
  return guarded([&] { return in_class(self, reinterpret_cast<PyTypeObject*>(cls)); });
}

// A detached instance of a subclass over the same elements (Parameter).
PyObject* detached_as(PyObject* self, PyObject* cls) {
  return guarded([&]() -> PyObject* {
    return reinterpret_cast<PyObject*>(
        new_tensor(detached(as_tensor(self)->var), reinterpret_cast<PyTypeObject*>(cls)));
  });
}

PyObject* become(PyObject* self, PyObject* view) {
  return guarded([&]() -> PyObject* {
    become_view(as_tensor(self), as_tensor(view)->var);
    return Py_NewRef(self);
  });
}

std::optional<Scalar> numpy_scalar(PyObject* o) {
  // NumPy's scalar types, recognised by their module so that NumPy's headers are not needed.
  const char* name = Py_TYPE(o)->tp_name;
  if (std::strncmp(name, "numpy.", 6) != 0 || std::strcmp(name, "numpy.ndarray") == 0) return std::nullopt;
  if (std::strcmp(name, "numpy.bool") == 0 || std::strcmp(name, "numpy.bool_") == 0)
    return Scalar::of_bool(PyObject_IsTrue(o) == 1);
  if (PyIndex_Check(o)) {
    Owned i = own(PyNumber_Index(o));
    const int64_t v = PyLong_AsLongLong(i.get());
    if (v == -1 && PyErr_Occurred()) throw PythonError();
    return Scalar::of_int(v);
  }
  if (Py_TYPE(o)->tp_as_number && Py_TYPE(o)->tp_as_number->nb_float) {
    Owned f(PyNumber_Float(o));
    if (f) return Scalar::of_float(PyFloat_AS_DOUBLE(f.get()));
    PyErr_Clear();
  }
  return std::nullopt;
}

}  // namespace

// zero_() and fill_() without a gradient; the recorded forms go through the ops of those names.
PyObject* set_all(PyObject* self, PyObject* value) {
  return guarded([&]() -> PyObject* {
    Scalar s;
    if (!scalar_from(value, s)) fail(ErrorKind::Type, "fill_(): argument 'value' must be a number");
    TensorObject* t = as_tensor(self);
    if (var_of(t).layer) return PyObject_CallMethod(self, "fill_", "O", value);
    check_not_inference(t->var.array);
    check_no_internal_overlap(t->var.array);
    require_fits(s, t->var.array.meta->dtype);
    if (g_before_change) g_before_change(t->var.array);
    fill_elements(t->var.array, s);
    count_change(*t->var.array.storage);
    return Py_NewRef(self);
  });
}

// Elements of `other`, of the same shape, without recording.
PyObject* take_elements(PyObject* self, PyObject* other) {
  return guarded([&]() -> PyObject* {
    TensorObject* t = as_tensor(self);
    if (var_of(t).layer || var_of(other).layer) return PyObject_CallMethod(self, "copy_", "O", other);
    check_not_inference(t->var.array);
    check_no_internal_overlap(t->var.array);
    if (g_before_change) g_before_change(t->var.array);
    const Array& from = array(other);
    check_no_overlap(t->var.array, from);
    if (same_memory(t->var.array, from) && from.meta.get() != t->var.array.meta.get()) {
      Array copy = Array::allocate(Meta::contiguous(from.meta->dtype, from.meta->shape()));
      copy_elements(copy, from);
      copy_elements(t->var.array, copy);
    } else {
      copy_elements(t->var.array, from);
    }
    count_change(*t->var.array.storage);
    return Py_NewRef(self);
  });
}

PyObject* in_class(PyObject* tensor, PyTypeObject* cls) {
  if (PyType_IsSubtype(Py_TYPE(tensor), cls)) return Py_NewRef(tensor);
  TensorObject* from = as_tensor(tensor);
  const Var& v = var_of(from);
  // A leaf stays the owner of its gradient, and what others hold changes with its view.
  if (v.node && v.node->is_leaf()) return as_subclass(tensor, reinterpret_cast<PyObject*>(cls));
  TensorObject* t = new_tensor(v, cls);
  if (from->base) {
    Py_INCREF(from->base);
    t->base = from->base;
    t->seen_rebases = from->seen_rebases;
    t->seen_version = from->seen_version;
    t->no_grad_view = from->no_grad_view;
    t->multi_view = from->multi_view;
    t->inference_view = from->inference_view;
    t->function_view = from->function_view;
  }
  return reinterpret_cast<PyObject*>(t);
}

// 2**63 and more, up to what an unsigned number of 64 bits holds.
static Scalar huge_from(PyObject* o) {
  const unsigned long long bits = PyLong_AsUnsignedLongLong(o);
  if (PyErr_Occurred()) {
    PyErr_Clear();
    Owned zero = own(PyLong_FromLong(0));
    fail(ErrorKind::Overflow,
         PyObject_RichCompareBool(o, zero.get(), Py_LT) ? "can't convert negative int to unsigned\n"
                                                        : "int too big to convert\n",
         "An integer must lie between -2**63 and 2**64 - 1; use a float for other numbers.");
  }
  Scalar s = Scalar::of_int(static_cast<int64_t>(bits));
  s.huge = true;
  return s;
}

bool scalar_from(PyObject* o, Scalar& s) {
  if (PyFloat_CheckExact(o)) {
    s = Scalar::of_float(PyFloat_AS_DOUBLE(o));
    return true;
  }
  if (PyBool_Check(o)) {
    s = Scalar::of_bool(o == Py_True);
    return true;
  }
  if (PyLong_Check(o)) {
    int overflow = 0;
    const int64_t v = PyLong_AsLongLongAndOverflow(o, &overflow);
    s = overflow ? huge_from(o) : Scalar::of_int(v);
    return true;
  }
  if (PyFloat_Check(o)) {
    s = Scalar::of_float(PyFloat_AS_DOUBLE(o));
    return true;
  }
  if (auto n = numpy_scalar(o)) {
    s = *n;
    return true;
  }
  return false;
}

PyObject* scalar_object(const Scalar& s) {
  switch (s.kind) {
    case Scalar::Kind::Bool: return PyBool_FromLong(s.i != 0);
    case Scalar::Kind::Int: return s.huge ? PyLong_FromUnsignedLongLong(s.i) : PyLong_FromLongLong(s.i);
    default: return PyFloat_FromDouble(s.d);
  }
}

PyMethodDef data_methods[] = {
    {"item", item, METH_NOARGS,
     "The only element as a Python number.\n"
     "\n"
     "Errors    RuntimeError for several elements, or none\n"
     "Example   >>> torch.tensor([3.5]).item()\n"
     "          3.5\n"},
    {"size", method(size), METH_FASTCALL | METH_KEYWORDS,
     "size(dim=None): the sizes, or the size of one axis.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).size(), torch.ones(2, 3).size(1)\n"
     "          (torch.Size([2, 3]), 3)\n"},
    {"stride", method(stride), METH_FASTCALL | METH_KEYWORDS,
     "stride(dim=None): steps between elements.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).stride(), torch.ones(2, 3).T.stride(0)\n"
     "          ((3, 1), 1)\n"},
    {"dim", dim, METH_NOARGS,
     "The number of axes.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).dim()\n"
     "          2\n"},
    {"ndimension", dim, METH_NOARGS,
     "The number of axes.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).ndimension()\n"
     "          2\n"},
    {"numel", numel, METH_NOARGS,
     "The number of elements.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).numel()\n"
     "          6\n"},
    {"nelement", numel, METH_NOARGS,
     "The number of elements.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).nelement()\n"
     "          6\n"},
    {"element_size", element_size, METH_NOARGS,
     "Bytes of one element.\n"
     "\n"
     "Example   >>> torch.ones(2).element_size()\n"
     "          4\n"},
    {"storage_offset", storage_offset, METH_NOARGS,
     "Where the first element lies in the storage.\n"
     "\n"
     "Example   >>> torch.ones(5)[2:].storage_offset()\n"
     "          2\n"},
    {"data_ptr", data_ptr, METH_NOARGS,
     "Address of the first element.\n"
     "\n"
     "Example   >>> x = torch.ones(2)\n"
     "          >>> x[1:].data_ptr() - x.data_ptr()\n"
     "          4\n"},
    {"_storage_ptr", storage_ptr, METH_NOARGS, "Address of the storage."},
    {"_storage_bytes", storage_bytes, METH_NOARGS, "Bytes of the storage."},
    {"is_contiguous", method(is_contiguous), METH_FASTCALL | METH_KEYWORDS,
     "Whether the elements lie row by row."},
    {"is_non_overlapping_and_dense", is_dense, METH_NOARGS,
     "Whether the elements fill one block of memory.\n"
     "\n"
     "Example   >>> torch.ones(2, 3).T.is_non_overlapping_and_dense()\n"
     "          True\n"
     "          >>> torch.ones(4)[::2].is_non_overlapping_and_dense()\n"
     "          False\n"},
    {"_shares_memory", shares_memory, METH_O, "Whether two tensors lie in one storage."},
    {"is_inference", is_inference, METH_NOARGS,
     "Whether the tensor was made in inference mode.\n"
     "\n"
     "Example   >>> with torch.inference_mode():\n"
     "          ...     x = torch.ones(2)\n"
     "          >>> x.is_inference()\n"
     "          True\n"},
    {"_set_all", set_all, METH_O, "Every element becomes a number; not recorded."},
    {"_take_elements", take_elements, METH_O, "Elements of another tensor of the same shape; not recorded."},
    {"_count_from_zero", count_from_zero, METH_NOARGS, "Filling a new tensor is no change of it."},
    {"_bump_version", bump_version, METH_NOARGS, "Note a change made from outside."},
    {"_as_class", as_class, METH_O, "A new result as an instance of a subclass."},
    {"as_subclass", as_subclass, METH_O,
     "The same tensor as an instance of a subclass.\n"
     "\n"
     "Example   >>> class Own(torch.Tensor):\n"
     "          ...     pass\n"
     "          >>> type(torch.ones(2).as_subclass(Own)).__name__\n"
     "          'Own'\n"},
    {"_become", become, METH_O, "To be from now on a view that was made of the tensor itself."},
    {"_detached_as", detached_as, METH_O, "The same elements, off the tape, as an instance of a subclass."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
