// Other tensors in the places of a module's parameters and buffers: see pullback/func/modules.py.
#pragma once
#include "bindings/python.h"

namespace pb::py { void init_module_tensors(PyObject* module); }  // namespace pb::py
