#pragma once
#include "bindings/python.h"

namespace pb::py {

// self[key] = value, in place and recorded.
void assign(PyObject* self, PyObject* key, PyObject* value);

}  // namespace pb::py
