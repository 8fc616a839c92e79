// Tensors that share elements while one of them is changed in place under layers of vmap and forward mode.
#pragma once
#include "bindings/tensor.h"

namespace pb::py { void change_under_layers(TensorObject* self, const Application& a); }  // namespace pb::py
