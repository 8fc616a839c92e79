// Matrix products: C = A B, batched, strided, with an optional row of bias.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace pb {

// All strides are in elements and may be 0 or negative, except that the columns of C are contiguous.
// C overlaps neither operand.
struct MatmulArgs {
  DType dtype;
  int64_t m, n, k;
  const void* a;
  int64_t a_row, a_col;
  const void* b;
  int64_t b_row, b_col;
  void* c;
  int64_t c_row;
  int batch_ndim = 0;
  const int64_t* batch_shape = nullptr;
  const int64_t* a_batch = nullptr;
  const int64_t* b_batch = nullptr;
  const int64_t* c_batch = nullptr;
  const void* bias_row = nullptr;  // n contiguous values, added to each row last
  bool dot = false;                // both operands had one axis: the sum takes the order of torch.dot
};

// k = 0 gives zeros (or the bias). Types without storage are left alone; the caller has refused them.
void matmul(const MatmulArgs& args);

}  // namespace pb
