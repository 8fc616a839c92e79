// x[key] = value: a write into the view that the key makes, or to the places that its tensors choose.
#include "bindings/assignment.h"

#include <algorithm>

#include "bindings/functions.h"
#include "bindings/index_key.h"
#include "tape/transform.h"

namespace pb::py {
namespace {

Function copy_("copy_"), fill_("fill_"), fill_assigned("_fill_assigned_"), expand("expand");
Function reshape("reshape"), unsqueeze("unsqueeze"), zeros_of("_zeros_of"), full_like("_full_like");
Function index_put("_index_put_"), index_put_mask("_index_put_mask_");
Function checked_value("pullback.indexing", "checked_value");
Function check_number("pullback.numeric_limits", "check_number");

const Meta& meta_of(PyObject* tensor) { return *as_tensor(tensor)->var.array.meta; }

// A tensor or a number; what else stands for one, Python knows.
Owned value_of(PyObject* self, PyObject* value) {
  int overflow = 0;
  if (PyLong_CheckExact(value)) PyLong_AsLongLongAndOverflow(value, &overflow);
  const bool number = PyFloat_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value);
  if (is_plain(value) || (number && !overflow)) return Owned::borrow(value);
  return own(checked_value(self, value));
}

bool is_recorded(PyObject* self, PyObject* value) {
  if (!grad_enabled()) return false;
  return requires_grad(as_tensor(self)) || (is_tensor(value) && requires_grad(as_tensor(value)));
}

// As torch: x[0] = ones(1, 1, 3) fits a row of 3.
Owned without_leading_ones(PyObject* value) {
  const Meta& m = meta_of(value);
  int drop = 0;
  while (drop < m.ndim && m.size(drop) == 1) ++drop;
  if (!drop) return Owned::borrow(value);
  return own(reshape(value, own(size_object(m.shape().subspan(static_cast<size_t>(drop)))).get()));
}

// view = value, broadcast and converted, where the key made a view only.
void write(PyObject* view, PyObject* value) {
  const bool recorded = is_recorded(view, value);
  if (!is_tensor(value)) {
    if (!recorded) check_writable(as_tensor(view));
    own(recorded ? fill_assigned(view, value) : check(set_all(view, value)));
  } else if (std::ranges::equal(meta_of(view).shape(), meta_of(value).shape())) {
    if (!recorded) check_writable(as_tensor(view));
    own(recorded ? copy_(view, value) : check(take_elements(view, value)));
  } else if (meta_of(value).ndim == 0) {
    own(fill_(view, value));
  } else {
    const Owned sizes = own(size_object(meta_of(view).shape()));
    own(copy_(view, own(expand(without_leading_ones(value).get(), sizes.get())).get()));
  }
}

Owned integer(int64_t v) { return own(PyLong_FromLongLong(v)); }
Owned no_sizes() { return own(PyTuple_New(0)); }

// One value where a mask over the axes from `axis` on holds; it is converted, as where torch fills.
void write_masked(PyObject* view, int axis, PyObject* mask, PyObject* value) {
  const Meta& m = meta_of(view);
  check_mask(m, mask, axis);
  Owned one = Owned::borrow(value), places = Owned::borrow(mask);
  if (is_tensor(value)) {
    if (meta_of(value).ndim) one = own(reshape(value, no_sizes().get()));
  } else if (is_integral(m.dtype)) {
    own(check_number(value, dtype_object(m.dtype)));
  }
  for (int k = axis + meta_of(mask).ndim; k < m.ndim; ++k)
    places = own(unsqueeze(places.get(), integer(meta_of(places.get()).ndim).get()));
  own(index_put_mask(view, places.get(), one.get()));
}

void write_indexed(PyObject* view, PyObject* tensors, PyObject* value) {
  warn_of_bytes(tensors);
  const Py_ssize_t before = PyList_GET_SIZE(tensors) - 1;
  PyObject* last = PyList_GET_ITEM(tensors, before);
  bool alone = meta_of(last).dtype == DType::Bool && (!is_tensor(value) || meta_of(value).numel == 1);
  for (Py_ssize_t k = 0; k < before && alone; ++k) alone = PyList_GET_ITEM(tensors, k) == Py_None;
  if (alone) return write_masked(view, static_cast<int>(before), last, value);
  const Owned indices = positions(meta_of(view), tensors);
  if (is_tensor(value)) {
    own(index_put(view, indices.get(), without_leading_ones(value).get()));
  } else {
    const Owned like = own(wrap(detached(as_tensor(view)->var)));
    const Owned zero = own(zeros_of(like.get(), no_sizes().get()));
    own(index_put(view, indices.get(), own(full_like(zero.get(), value)).get()));
  }
}

// The part of a tensor that a key of views means; for all of it the tensor itself.
Owned target_of(PyObject* self, PyObject* key) {
  const bool whole = key == Py_Ellipsis || (PyTuple_Check(key) && !PyTuple_GET_SIZE(key)) ||
                     (meta_of(self).ndim && is_whole_axis(key));
  return whole ? Owned::borrow(self) : own(view_of(self, key));
}

}  // namespace

void assign(PyObject* self, PyObject* key, PyObject* given) {
  const Owned value = value_of(self, given);
  if (key == Py_False) return;  // chooses nothing
  if (key == Py_True) {
    const Owned new_axis = own(PyTuple_Pack(1, Py_None));
    return write(own(view_of(self, new_axis.get())).get(), value.get());
  }
  if (is_basic(key)) return write(target_of(self, key).get(), value.get());
  const SplitKey parts = split_key(self, key);
  if (parts.tensors) write_indexed(parts.view.get(), parts.tensors.get(), value.get());
  else write(parts.view.get(), value.get());
}

}  // namespace pb::py
