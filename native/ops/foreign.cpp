#include "ops/foreign.h"

namespace pb {

ForeignKernels g_foreign_kernels;

std::span<const KernelRow> foreign_rows() {
  static const KernelRow rows[] = {
      {.name = "foreign",
       .infer = [](std::span<const Operand> in, Ints ints,
                   Metas& out) { g_foreign_kernels.infer(in, ints, out); },
       .run = [](const KernelCall& c) { g_foreign_kernels.run(c); },
       .contiguous_inputs = false,
       .runs_python = true},
  };
  return rows;
}

}  // namespace pb
