// Keys of x[key] that hold tensors, masks, lists or other numbers than Python's.
#pragma once
#include "bindings/tensor.h"

namespace pb::py {

// Whether a key consists only of what makes views.
bool is_basic(PyObject* key);
// The view of a tensor that such a key makes. New reference.
PyObject* view_of(PyObject* self, PyObject* key);

// A key in two parts: the view that its positions and slices make, and the tensors that index this view together.
struct SplitKey {
  Owned view;     // the tensor itself where nothing makes a view
  Owned tensors;  // a list in the order of the view's axes, with None for those without; null: there are none
};
SplitKey split_key(PyObject* self, PyObject* key);
// Torch's warning where masks of an old type are among the tensors.
void warn_of_bytes(PyObject* tensors);

// x[:]
bool is_whole_axis(PyObject* part);
// Whether a tensor says for every element whether it is meant.
bool is_mask(PyObject* tensor);
// Torch's refusal of a mask that does not fit the axes of a tensor from `axis` on.
void check_mask(const Meta& indexed, PyObject* mask, int axis);
// Index tensors as an op takes them: a mask becomes its positions, one tensor for each of its axes. A list.
Owned positions(const Meta& indexed, PyObject* tensors);
PyObject* index_list(PyObject* self, PyObject* tensors);

}  // namespace pb::py
