#pragma once
#include "bindings/tensor.h"

namespace pb::py {

// Methods of Tensor behind view(dtype) and set_().
extern PyMethodDef placed_methods[];

}  // namespace pb::py
