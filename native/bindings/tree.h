// Nested containers taken apart and put together: the part of pullback/utils/_pytree.py that each call of a
// transformed function goes through.
#pragma once
#include "bindings/python.h"

namespace pb::py { void init_tree(PyObject* module); }  // namespace pb::py
