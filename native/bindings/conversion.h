#pragma once
#include "bindings/python.h"

namespace pb::py {

// Methods of Tensor that convert it.
extern PyMethodDef conversion_methods[];
extern PyMethodDef conversion_functions[];

}  // namespace pb::py
