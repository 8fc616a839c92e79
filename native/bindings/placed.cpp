// A tensor anywhere in the memory of another: other types, sizes and strides over the same bytes.
#include "bindings/placed.h"

#include "ops/common.h"
#include "tape/watch.h"

namespace pb::py {
namespace {

Dims dims_from(PyObject* list) {
  const Py_ssize_t n = PyTuple_GET_SIZE(list);
  if (n > kMaxDims) fail(ErrorKind::Runtime, "pullback supports up to ", kMaxDims, " dimensions");
  Dims d;
  for (Py_ssize_t i = 0; i < n; ++i) {
    d.push(PyLong_AsLongLong(PyTuple_GET_ITEM(list, i)));
    if (d[static_cast<int>(i)] == -1 && PyErr_Occurred()) throw PythonError();
  }
  return d;
}

// The caller has seen to it that all elements lie in the storage.
PyObject* placed(PyObject* self, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *dtype, *sizes, *strides;
    long long offset;
    if (!PyArg_ParseTuple(args, "OLO!O!", &dtype, &offset, &PyTuple_Type, &sizes, &PyTuple_Type, &strides))
      throw PythonError();
    const DType d = dtype_from(dtype);
    require_storage("view", d);
    return wrap_array(
        {as_tensor(self)->var.array.storage, Meta::intern(d, dims_from(sizes), dims_from(strides)), offset});
  });
}

// Unlike an assignment to .data this is a change in place, with its refusals and its count.
PyObject* set_to(PyObject* self, PyObject* other) {
  return guarded([&]() -> PyObject* {
    TensorObject* t = as_tensor(self);
    const Array a = as_tensor(other)->var.array;
    check_in_place(t);
    if (t->var.layer || (t->var.node && !t->var.node->is_leaf()))
      fail(ErrorKind::NotImplemented, "set_(): of the result of a recorded operation\nCall detach() first.");
    if (t->base) forget_base(t);
    const uint32_t version = t->var.array.storage->version;
    t->var.array = {Storage::alias(a.storage), a.meta, a.offset};
    t->var.array.storage->version = version;
    count_change(*t->var.array.storage);
    return Py_NewRef(self);
  });
}

}  // namespace

PyMethodDef placed_methods[] = {
    {"_placed", placed, METH_VARARGS,
     "Elements of a type over the same storage: (dtype, offset, sizes, strides)."},
    {"_set_to", set_to, METH_O, "To lie from now on where another tensor does."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
