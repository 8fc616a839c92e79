// The node of a user's autograd.Function: its backward is Python.
#pragma once
#include "bindings/tensor.h"

namespace pb::py {

// The ctx of a function's node; null for other nodes. Borrowed.
PyObject* context_of(Node& n);
const std::string& interned(const char* name);  // a node's name lives on
void clear_context(Node& n);

void init_function_node(PyObject* module);

}  // namespace pb::py
