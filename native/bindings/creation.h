#pragma once
#include "bindings/python.h"
#include "core/meta.h"

namespace pb::py {

// A tensor over memory of another library: `first` element, kept alive by `owner`.
PyObject* borrowed(void* first, Ref<Meta> meta, PyObject* owner);

void init_creation(PyObject* module);

}  // namespace pb::py
