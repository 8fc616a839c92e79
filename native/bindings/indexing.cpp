// x[key]: a view for the positions, slices, None and Ellipsis in the key, a copy of what tensors and masks choose.
#include "bindings/assignment.h"
#include "bindings/functions.h"
#include "bindings/index_key.h"
#include "bindings/op_function.h"
#include "bindings/override.h"
#include "core/shape.h"

namespace pb::py {
namespace {

bool is_plain_integer(PyObject* o) {
  if (PyLong_CheckExact(o)) return true;
  return !PyBool_Check(o) && !is_tensor(o) && PyIndex_Check(o) && !PySequence_Check(o);
}

class Walker {
 public:
  explicit Walker(PyObject* self) : current_(Owned::borrow(self)) {}

  void step(const Op* op, std::span<const int64_t> ints, uint64_t symbolic) {
    const Argument args[1] = {{&var_of(current_.get()), {}}};
    current_ = own(call_op(op, args, ints, symbolic, as_tensor(current_.get())));
  }
  const Meta& meta() const { return *as_tensor(current_.get())->var.array.meta; }

  // A second ellipsis leads past the last axis, as in torch: nothing but the end of the key may follow it.
  void require_axis(int axis) const {
    const int n = meta().ndim;
    if (axis < n) return;
    fail(ErrorKind::Index, "Dimension out of range (expected to be in range of [", -n, ", ", n - 1,
         "], but got ", axis, ")\nWrite one ellipsis only.");
  }

  // `position` is the key's place in the subscript, which torch's text calls the dimension.
  void select(int axis, PyObject* key, Py_ssize_t position) {
    static const Op* op = find_op("select");
    require_axis(axis);
    Owned number = own(PyNumber_Index(key));
    const int64_t index = PyLong_AsLongLong(number.get());
    if (index == -1 && PyErr_Occurred()) throw PythonError();
    const int64_t size = meta().size(axis);
    if (index < -size || index >= size) {
      fail(ErrorKind::Index, "index ", index, " is out of bounds for dimension ", position, " with size ",
           size, "\nValid positions run from ", -size, " to ", size - 1, ".");
    }
    const int64_t ints[2] = {axis, index < 0 ? index + size : index};
    step(op, ints, 2);
  }

  void slice(int axis, PyObject* key) {
    static const Op* op = find_op("slice");
    require_axis(axis);
    Py_ssize_t start, stop, stride;
    check(PySlice_Unpack(key, &start, &stop, &stride));
    if (stride <= 0) fail(ErrorKind::Value, "step must be greater than zero\nReverse an axis with flip().");
    if (start == 0 && stop >= meta().size(axis) && stride == 1) return;
    const int64_t ints[4] = {axis, start, stop, stride};
    step(op, ints, 14);
  }

  void unsqueeze(int axis) {
    static const Op* op = find_op("unsqueeze");
    const int64_t ints[1] = {axis};
    step(op, ints, 0);
  }

  // The key chose everything: still a new tensor. Torch's node for x[:] is a slice, for x[:, :] and x[...] an alias.
  PyObject* finish(PyObject* self, bool slice) {
    if (current_.get() != self) return current_.release();
    static const Op* alias = find_op("alias");
    static const Op* slice_op = find_op("slice");
    const int64_t whole[4] = {0, 0, slice ? meta().size(0) : 0, 1};
    if (slice) step(slice_op, whole, 14);
    else step(alias, {}, 0);
    return current_.release();
  }

 private:
  Owned current_;
};

PyObject* basic(PyObject* self, PyObject* key) {
  Walker w(self);
  const int ndim = w.meta().ndim;
  const bool tuple = PyTuple_Check(key);
  const Py_ssize_t n = tuple ? PyTuple_GET_SIZE(key) : 1;
  Py_ssize_t taken = 0;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* k = tuple ? PyTuple_GET_ITEM(key, i) : key;
    if (k != Py_Ellipsis && k != Py_None) ++taken;
  }
  if (taken > ndim) {
    if (ndim == 0 && taken == 1 && n == 1) {
      fail(ErrorKind::Index,
           "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in ",
           "C++ to convert a 0-dim tensor to a number");
    }
    fail(ErrorKind::Index, "too many indices for tensor of dimension ", ndim);
  }
  int axis = 0;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* k = tuple ? PyTuple_GET_ITEM(key, i) : key;
    if (k == Py_Ellipsis) axis += ndim - static_cast<int>(taken);
    else if (k == Py_None) w.unsqueeze(axis++);
    else if (PySlice_Check(k)) w.slice(axis++, k);
    else w.select(axis, k, i);
  }
  return w.finish(self, PySlice_Check(key));
}

Function index("_index"), alias("_alias");

const Meta& meta_of(PyObject* tensor) { return *as_tensor(tensor)->var.array.meta; }

PyObject* in_class_of(PyObject* self, Owned part) {
  PyTypeObject* cls = class_of_results(self);
  return cls ? in_class(part.get(), cls) : part.release();
}

// What a key chooses that does not consist of parts of a view only.
PyObject* chosen(PyObject* self, PyObject* key) {
  const SplitKey parts = split_key(self, key);
  PyObject* view = parts.view.get();
  if (!parts.tensors) return in_class_of(self, view == self ? own(alias(self)) : parts.view);
  warn_of_bytes(parts.tensors.get());
  return index(view, positions(meta_of(view), parts.tensors.get()).get());
}

PyObject* get_item(PyObject* self, PyObject* key) {
  return guarded([&]() -> PyObject* {
    const bool views = is_basic(key);
    if (asks(self) || (!views && any_asks(&key, 1))) {
      PyObject* args[2] = {self, key};
      return ask_slot("__getitem__", args, 2);
    }
    return views ? in_class_of(self, own(basic(self, key))) : chosen(self, key);
  });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  return guarded_status([&] {
    if (!value) fail(ErrorKind::Type, "Tensor does not support deleting items");
    PyObject* args[3] = {self, key, value};
    if (asks(self) || any_asks(args + 1, 2)) {
      Owned(ask_slot("__setitem__", args, 3));
      return;
    }
    assign(self, key, value);
  });
}

Py_ssize_t length(PyObject* self) {
  if (asks(self)) {
    Py_ssize_t n = -1;
    guarded_status([&] {
      Owned answer = own(ask_slot("__len__", &self, 1));
      n = PyNumber_AsSsize_t(answer.get(), PyExc_OverflowError);
    });
    return n;
  }
  const Meta& m = *as_tensor(self)->var.array.meta;
  if (m.ndim == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return m.size(0);
}

}  // namespace

PyObject* tensor_iter(PyObject* self) {
  return guarded([&]() -> PyObject* {
    if (as_tensor(self)->var.array.meta->ndim == 0) fail(ErrorKind::Type, "iteration over a 0-d tensor");
    Owned f = own(PyObject_GetAttrString(self, "unbind"));
    Owned parts = own(PyObject_CallNoArgs(f.get()));
    return PyObject_GetIter(parts.get());
  });
}

bool is_basic(PyObject* key) {
  if (!PyTuple_Check(key))
    return is_plain_integer(key) || PySlice_Check(key) || key == Py_None || key == Py_Ellipsis;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) {
    PyObject* k = PyTuple_GET_ITEM(key, i);
    if (!is_plain_integer(k) && !PySlice_Check(k) && k != Py_None && k != Py_Ellipsis) return false;
  }
  return true;
}

PyObject* view_of(PyObject* self, PyObject* key) { return basic(self, key); }

void fill_index_slots(std::vector<PyType_Slot>& s) {
  s.push_back({Py_mp_subscript, reinterpret_cast<void*>(get_item)});
  s.push_back({Py_mp_ass_subscript, reinterpret_cast<void*>(set_item)});
  s.push_back({Py_mp_length, reinterpret_cast<void*>(length)});
}

}  // namespace pb::py
