// Functions of whole rows: softmax and its relatives along one axis of a contiguous array [outer][n][inner].
// Float32 and Float64; false for any other dtype. Inputs and output may be the same array.
// Results never depend on the number of threads, nor on how many rows are given at once.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace pb {

struct RowShape { int64_t outer, n, inner; };

struct RowKernels {
  bool (*softmax)(DType dtype, const void* in, void* out, RowShape shape);
  bool (*log_softmax)(DType dtype, const void* in, void* out, RowShape shape);
  // y is the forward result, grad what arrives: (grad - sum(grad * y)) * y, and grad - exp(y) * sum(grad).
  bool (*softmax_backward)(DType dtype, const void* grad, const void* y, void* out, RowShape shape);
  bool (*log_softmax_backward)(DType dtype, const void* grad, const void* y, void* out, RowShape shape);
  // [outer][inner]; -infinity where n is 0. `out` must not overlap `in`.
  bool (*logsumexp)(DType dtype, const void* in, void* out, RowShape shape);
};

const RowKernels& row_kernels();  // for this machine (PULLBACK_ISA=baseline forces the plain one)

}  // namespace pb
