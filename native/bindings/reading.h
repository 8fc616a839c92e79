#pragma once
#include "bindings/python.h"

namespace pb::py {

// Methods of Tensor that give its elements to Python: nested lists and NumPy's arrays.
extern PyMethodDef reading_methods[];

}  // namespace pb::py
