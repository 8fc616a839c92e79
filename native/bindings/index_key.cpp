#include "bindings/index_key.h"

#include <cstring>
#include <vector>

#include "bindings/functions.h"
#include "bindings/random.h"
#include "core/shape.h"
#include "tape/transform.h"

namespace pb::py {
namespace {

Function items_of_list("pullback.indexing", "items_of_list"), part_of_key("pullback.indexing", "part_of_key");

const Meta& meta_of(PyObject* tensor) { return *as_tensor(tensor)->var.array.meta; }
bool is_index(PyObject* tensor) {
  const DType d = meta_of(tensor).dtype;
  return d == DType::Int64 || d == DType::Int32;
}
bool is_position(PyObject* part) { return PyLong_Check(part) && !PyBool_Check(part); }

[[noreturn]] void refuse_type(DType d) {
  fail(ErrorKind::Index, "tensors used as indices must be long, int, byte or bool tensors\nGot one of type ",
       info(d).name, "; convert it with .long().");
}

// A tensor without axes is a number. A position for each sample picks elements, where one for all is part of a view.
Owned number_of(PyObject* tensor) {
  const DType d = meta_of(tensor).dtype;
  if (is_float(d)) refuse_type(d);
  if (!is_mask(tensor) && is_batched(var_of(tensor))) return Owned::borrow(tensor);
  const Array a = readable(tensor);
  const Scalar s = load_scalar(a.meta->dtype, a.data());
  return own(is_mask(tensor) ? PyBool_FromLong(s.i != 0) : PyLong_FromLongLong(s.i));
}

// One part of a key: what views are made of stays, anything else becomes a tensor.
Owned read_part(PyObject* o) {
  if (o == Py_None || o == Py_Ellipsis || PySlice_Check(o) || PyBool_Check(o) || PyLong_CheckExact(o))
    return Owned::borrow(o);
  if (is_tensor(o)) return meta_of(o).ndim ? Owned::borrow(o) : number_of(o);
  return own(part_of_key(o));
}

std::vector<Owned> read_parts(PyObject* key) {
  std::vector<Owned> parts;
  if (!PyTuple_Check(key) && !PyList_Check(key)) {
    parts.push_back(read_part(key));
    return parts;
  }
  const Owned items = PyTuple_Check(key) ? Owned::borrow(key) : own(items_of_list(key));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  parts.reserve(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) parts.push_back(read_part(PySequence_Fast_GET_ITEM(items.get(), i)));
  return parts;
}

int axes_taken(PyObject* part) {
  if (part == Py_None || part == Py_Ellipsis || PyBool_Check(part)) return 0;
  return is_tensor(part) && is_mask(part) ? meta_of(part).ndim : 1;
}

int count_axes(const Meta& m, const std::vector<Owned>& parts) {
  int taken = 0;
  for (const Owned& p : parts) taken += axes_taken(p.get());
  if (taken <= m.ndim) return taken;
  if (m.ndim == 0 && parts.size() == 1 && !is_tensor(parts[0].get())) {
    fail(ErrorKind::Index,
         "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in ",
         "C++ to convert a 0-dim tensor to a number");
  }
  fail(ErrorKind::Index, "too many indices for tensor of dimension ", int{m.ndim}, "\nThe key has ", taken,
       " of them, shape ", shape_text(m.shape()), ".");
}

// True chooses the one element of a new axis, False none.
Owned choice(bool chosen) {
  const int64_t size[1] = {chosen};
  Array a = Array::allocate(Meta::contiguous(DType::Int64, size));
  if (chosen) std::memset(a.data(), 0, sizeof(int64_t));
  return own(wrap_array(std::move(a)));
}

PyObject* whole_axis() {
  static PyObject* slice = check(PySlice_New(nullptr, nullptr, nullptr));
  return slice;
}
class Splitter {
 public:
  explicit Splitter(const Meta& m, int taken) : rest_(m.ndim - taken) {}

  void add(PyObject* part) {
    if (PyBool_Check(part)) {
      push_new_axis();
      push_tensor(choice(part == Py_True).get(), 1);
    } else if (is_tensor(part)) {
      const int width = axes_taken(part);
      for (int k = 0; k < width; ++k) push_view(whole_axis());
      push_tensor(part, width);
    } else if (part == Py_Ellipsis) {
      for (int k = 0; k < rest_; ++k) push_view(whole_axis());
      axis_ += rest_;
    } else {
      push_view(part);
      axis_ += !is_position(part);
    }
  }

  SplitKey apply(PyObject* self) {
    SplitKey key{Owned::borrow(self), std::move(tensors_)};
    if (!all_whole_) {
      const Owned parts = own(PyList_AsTuple(views_.get()));
      key.view = own(view_of(self, parts.get()));
    }
    return key;
  }

 private:
  void push_view(PyObject* part) {
    check(PyList_Append(views_.get(), part));
    all_whole_ = all_whole_ && is_whole_axis(part);
  }
  void push_new_axis() {
    check(PyList_Append(views_.get(), Py_None));
    all_whole_ = false;
  }
  void push_tensor(PyObject* tensor, int width) {
    if (!tensors_) tensors_ = own(PyList_New(0));
    for (; covered_ < axis_; ++covered_) check(PyList_Append(tensors_.get(), Py_None));
    check(PyList_Append(tensors_.get(), tensor));
    axis_ += width;
    covered_ = axis_;
  }

  int rest_;
  int axis_ = 0, covered_ = 0;  // of the view
  bool all_whole_ = true;
  Owned views_ = own(PyList_New(0)), tensors_;
};

void push_positions(PyObject* mask, PyObject* list) {
  const Array rows = nonzero_rows(mask);
  const int64_t size[1] = {rows.meta->size(0)}, stride[1] = {rows.meta->size(1)};
  const Ref<Meta> column = Meta::intern(DType::Int64, size, stride);
  for (int64_t axis = 0; axis < stride[0]; ++axis)
    check(PyList_Append(list, own(wrap_array({rows.storage, column, rows.offset + axis})).get()));
}

}  // namespace

bool is_whole_axis(PyObject* part) {
  if (!PySlice_Check(part)) return false;
  auto* slice = reinterpret_cast<PySliceObject*>(part);
  return slice->start == Py_None && slice->stop == Py_None && slice->step == Py_None;
}

bool is_mask(PyObject* tensor) {
  const DType d = meta_of(tensor).dtype;
  return d == DType::Bool || d == DType::UInt8;
}

void warn_of_bytes(PyObject* tensors) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tensors); ++i) {
    PyObject* t = PyList_GET_ITEM(tensors, i);
    if (t == Py_None || meta_of(t).dtype != DType::UInt8) continue;
    check(PyErr_WarnEx(PyExc_UserWarning,
                       "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
                       "instead.",
                       1));
    return;
  }
}

SplitKey split_key(PyObject* self, PyObject* key) {
  const std::vector<Owned> parts = read_parts(key);
  const Meta& m = meta_of(self);
  Splitter splitter(m, count_axes(m, parts));
  for (const Owned& p : parts) splitter.add(p.get());
  return splitter.apply(self);
}

void check_mask(const Meta& indexed, PyObject* mask, int axis) {
  const Meta& m = meta_of(mask);
  for (int k = 0; k < m.ndim; ++k) {
    if (axis + k < indexed.ndim && m.size(k) == indexed.size(axis + k)) continue;
    fail(ErrorKind::Index, "The shape of the mask ", shape_text(m.shape()), " at index ", k,
         " does not match the shape of the indexed tensor ", shape_text(indexed.shape()), " at index ",
         axis + k, "\nA mask has the sizes of the axes that it stands for.");
  }
  if (m.ndim == 0) fail(ErrorKind::Index, "a mask without axes is applied with x[mask] only");
}

Owned positions(const Meta& indexed, PyObject* tensors) {
  Owned list = own(PyList_New(0));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(tensors); ++i) {
    PyObject* t = PySequence_Fast_GET_ITEM(tensors, i);
    if (is_tensor(t) && is_mask(t)) {
      check_mask(indexed, t, static_cast<int>(PyList_GET_SIZE(list.get())));
      push_positions(t, list.get());
    } else {
      if (is_tensor(t) && !is_index(t)) refuse_type(meta_of(t).dtype);
      if (!is_tensor(t) && t != Py_None)
        fail(ErrorKind::Type, "expected Tensor as element ", i, " in argument 0, but got ",
             Py_TYPE(t)->tp_name);
      check(PyList_Append(list.get(), t));
    }
  }
  const Py_ssize_t n = PyList_GET_SIZE(list.get());
  if (n > indexed.ndim) {
    fail(ErrorKind::Index, "too many indices for tensor of dimension ", int{indexed.ndim}, " (got ", n, ")");
  }
  return list;
}

PyObject* index_list(PyObject* self, PyObject* tensors) {
  return guarded([&] {
    if (!is_tensor(self)) fail(ErrorKind::Type, "expected a Tensor, got ", Py_TYPE(self)->tp_name);
    if (!PyTuple_Check(tensors) && !PyList_Check(tensors)) {
      fail(ErrorKind::Type, "index_put(): argument 'indices' (position 2) must be tuple of Tensors, not ",
           Py_TYPE(tensors)->tp_name);
    }
    return positions(meta_of(self), tensors).release();
  });
}

}  // namespace pb::py
