#include "ops/foreign.h"

namespace pb {

ForeignKernels g_foreign_kernels;

std::span<const KernelRow> foreign_rows() {
  static const KernelRow rows[] = {
      {"foreign",
       [](std::span<const Operand> in, Ints ints, Metas& out) { g_foreign_kernels.infer(in, ints, out); },
       [](const KernelCall& c) { g_foreign_kernels.run(c); }, false},
  };
  return rows;
}

}  // namespace pb
