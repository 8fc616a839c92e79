#pragma once
#include "bindings/python.h"

namespace pb::py {

// What functions over axes ask of the shapes of tensors (and of values of a trace) before they call an op.
extern PyMethodDef axis_functions[];

}  // namespace pb::py
