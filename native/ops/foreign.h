// Kernels that live outside of the core: written in Python over NumPy, see pullback/extend.py.
#pragma once
#include <span>

#include "program/op.h"

namespace pb {

// Set by the bindings. The last integer of a call says which kernel it is.
struct ForeignKernels {
  InferFn infer = nullptr;
  RunFn run = nullptr;
};
extern ForeignKernels g_foreign_kernels;

std::span<const KernelRow> foreign_rows();

}  // namespace pb
