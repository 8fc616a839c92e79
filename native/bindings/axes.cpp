#include "bindings/axes.h"

#include <algorithm>

#include "bindings/tensor.h"
#include "core/shape.h"

namespace pb::py {
namespace {

// Sizes as Python has them: those of a trace are expressions, and a comparison of them is remembered.
Owned shape_of(PyObject* o) {
  static PyObject* name = check(PyUnicode_InternFromString("shape"));
  Owned shape = own(PyObject_GetAttr(o, name));
  if (!PyTuple_Check(shape.get())) fail(ErrorKind::Type, "a shape is a tuple");
  return shape;
}

int axis_of(PyObject* given, int ndim, const char* argument) {
  if (!PyIndex_Check(given)) fail(ErrorKind::Type, argument, " must be int, not ", Py_TYPE(given)->tp_name);
  const Owned number = own(PyNumber_Index(given));
  const int64_t axis = PyLong_AsLongLong(number.get());
  if (axis == -1 && PyErr_Occurred()) throw PythonError();
  return wrap_axis(axis, ndim);
}

// (tensor, first, last): its sizes with these axes and those between as one; None where that changes nothing.
PyObject* merged_sizes(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&]() -> PyObject* {
    const Owned shape = shape_of(args[0]);
    const int n = static_cast<int>(PyTuple_GET_SIZE(shape.get()));
    const int first = axis_of(args[1], n, "flatten(): argument 'start_dim' (position 2)");
    const int last = axis_of(args[2], n, "flatten(): argument 'end_dim' (position 3)");
    if (first > last)
      fail(ErrorKind::Runtime, "flatten() has invalid args: start_dim cannot come after end_dim");
    if (n && first == last) Py_RETURN_NONE;
    Owned merged = own(PyLong_FromLong(1));
    for (int k = first; k < n && k <= last; ++k)
      merged = own(PyNumber_Multiply(merged.get(), PyTuple_GET_ITEM(shape.get(), k)));
    if (!n) return PyTuple_Pack(1, merged.get());
    Owned sizes = own(PyTuple_New(n - (last - first)));
    for (int k = 0, to = 0; k < n; k = k == first ? last + 1 : k + 1)
      PyTuple_SET_ITEM(sizes.get(), to++,
                       Py_NewRef(k == first ? merged.get() : PyTuple_GET_ITEM(shape.get(), k)));
    return sizes.release();
  });
}

[[noreturn]] void refuse_squeeze(PyObject* axis) {
  fail(ErrorKind::Type, "squeeze() received an invalid combination of arguments - got (",
       Py_TYPE(axis)->tp_name, "), but expected one of:\n * ()\n * (int dim)\n * (tuple of ints dim)\n");
}

// (tensor, an axis, several, or None for all): those of size 1, counted from 0.
PyObject* axes_of_one(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&]() -> PyObject* {
    static PyObject* one = check(PyLong_FromLong(1));
    const Owned shape = shape_of(args[0]);
    const int n = static_cast<int>(PyTuple_GET_SIZE(shape.get()));
    PyObject* given = args[1];
    const bool several = PyTuple_Check(given) || PyList_Check(given);
    const Py_ssize_t count = given == Py_None ? n : several ? PySequence_Fast_GET_SIZE(given) : 1;
    Owned axes = own(PyList_New(0));
    for (Py_ssize_t k = 0; k < count; ++k) {
      PyObject* asked = several ? PySequence_Fast_GET_ITEM(given, k) : given;
      if (given != Py_None && !PyIndex_Check(asked)) refuse_squeeze(asked);
      const int axis = given == Py_None ? static_cast<int>(k) : axis_of(asked, n, "squeeze()");
      if (!n) continue;
      const int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(shape.get(), axis), one, Py_EQ);
      check(same);
      if (same) check(PyList_Append(axes.get(), own(PyLong_FromLong(axis)).get()));
    }
    return axes.release();
  });
}

std::string sizes_text(PyObject* shape) {
  const Owned list = own(PySequence_List(shape));
  const Owned text = own(PyObject_Repr(list.get()));
  return PyUnicode_AsUTF8(text.get());
}

bool of_one_shape(PyObject* a, PyObject* b) {
  if (is_tensor(a) && is_tensor(b))
    return std::ranges::equal(as_tensor(a)->var.array.meta->shape(), as_tensor(b)->var.array.meta->shape());
  const int same = PyObject_RichCompareBool(shape_of(b).get(), shape_of(a).get(), Py_EQ);
  check(same);
  return same;
}

// (tensors of one shape, an axis): the axis of their stack, counted from 0.
PyObject* stacked_axis(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&]() -> PyObject* {
    PyObject* tensors = args[0];
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(tensors);
    for (Py_ssize_t k = 0; k < count; ++k) {
      PyObject* t = PySequence_Fast_GET_ITEM(tensors, k);
      if (is_tensor(t) || PyObject_HasAttrString(t, "unsqueeze")) continue;
      fail(ErrorKind::Type, "expected Tensor as element ", k, " in argument 0, but got ",
           Py_TYPE(t)->tp_name);
    }
    if (!count) fail(ErrorKind::Runtime, "stack expects a non-empty TensorList");
    PyObject* first = PySequence_Fast_GET_ITEM(tensors, 0);
    for (Py_ssize_t k = 1; k < count; ++k) {
      PyObject* other = PySequence_Fast_GET_ITEM(tensors, k);
      if (of_one_shape(first, other)) continue;
      fail(ErrorKind::Runtime, "stack expects each tensor to be equal size, but got ",
           sizes_text(shape_of(first).get()), " at entry 0 and ", sizes_text(shape_of(other).get()),
           " at entry ", k);
    }
    const int ndim = static_cast<int>(PyTuple_GET_SIZE(shape_of(first).get())) + 1;
    return PyLong_FromLong(axis_of(args[1], ndim, "stack(): argument 'dim' (position 2)"));
  });
}

}  // namespace

PyMethodDef axis_functions[] = {
    {"merged_sizes", method(merged_sizes), METH_FASTCALL,
     "(tensor, first axis, last axis): the sizes with these as one axis, or None"},
    {"axes_of_one", method(axes_of_one), METH_FASTCALL,
     "(tensor, an axis, several or None): the axes among them whose size is 1"},
    {"stacked_axis", method(stacked_axis), METH_FASTCALL,
     "(tensors of one shape, an axis): where their stack has it"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
