// nn.Module.__call__ without a Python frame of its own.
#pragma once
#include "bindings/python.h"

namespace pb::py { void init_module_call(PyObject* module); }  // namespace pb::py
