// Products of floating matrices by the library's own kernels, one thread a call: every product where the
// processor has fused multiply-adds, and elsewhere those for which calling a BLAS costs more than it gives.
//
// The order of summation is fixed here, not by the instruction set, and is the one that torch's BLAS is
// seen to use, so that small models print the same digits. For an element of C:
//   both m and n above 1   one chain of fused multiply-adds over k from 0, in blocks of at most
//                          384; the bias is added to the first block
//   few rows, A B^T        sums over 16 lanes
//   matrix times vector    see gemv.h
#pragma once
#include <cstdint>

namespace pb {

template <class T> struct GemmTask {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_col;  // strides in elements, any
  const T* b;
  int64_t b_row, b_col;
  T* c;
  int64_t c_row;
  const T* bias;  // n values or null
  bool dot;  // both operands had one axis
  bool past_caches = false;  // C is too large for them: not worth being fetched before it is overwritten
};

struct GemmKernels {
  const char* isa;
  void (*f32)(const GemmTask<float>&);
  void (*f64)(const GemmTask<double>&);
};

namespace baseline { const GemmKernels& gemm_kernels(); }
namespace avx2 { const GemmKernels& gemm_kernels(); }
namespace avx512 { const GemmKernels& gemm_kernels(); }

const GemmKernels& gemm_kernels();  // for this machine; PULLBACK_ISA=baseline or avx2 lowers the choice

// How a sum over k is cut: the length of the next block when `rest` terms are left.
constexpr int64_t kBlockK = 384;
inline int64_t next_block(int64_t rest) {
  if (rest > 2 * kBlockK) return kBlockK;
  return rest > kBlockK ? (rest + 1) / 2 : rest;
}

}  // namespace pb
