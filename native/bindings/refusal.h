// Calls that fit none of a function's overloads.
#pragma once
#include "bindings/python.h"

namespace pb::py {

// Raises torch's error for such a call, or answers it after all (pullback/refusal.py). The error that is set, if
// any, is what its arguments have met with so far.
PyObject* refuse(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames);

void init_refusal(PyObject* module);

}  // namespace pb::py
