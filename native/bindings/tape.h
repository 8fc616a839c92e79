#pragma once
#include "bindings/python.h"
#include "tape/node.h"

namespace pb::py {

// Gradients of `tensors` with the given cotangents (None: ones). Without `inputs`, into the leaves' grad;
// otherwise a tuple of gradients, or with `accumulate` into the grad of the inputs.
PyObject* run_backward_py(PyObject* tensors, PyObject* gradients, PyObject* inputs, bool keep_graph,
                          bool create_graph, bool accumulate, std::span<const Ref<Level>> along = {});

}  // namespace pb::py
