// What a kernel file offers to the rest: tables of rows, found by name when the package is imported.
#pragma once
#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace pb {

// An elementwise kernel over one block of n elements. All operands are contiguous arrays of n elements
// (a scalar operand arrives already spread over the block). The output may be the same array as an input,
// never a shifted one. n >= 1; the tail of a block goes through the same vector code as its body.
using BlockFn = void (*)(void* out, const void* a, const void* b, const void* c, int64_t n);

struct BlockRow {
  const char* name;        // the primitive's name: "mul"
  uint8_t arity;           // 1..3
  uint8_t cost;            // rough cost of an element: 1 = one addition, 8 = one exp
  BlockFn fn[kDTypes];     // by compute dtype (the common dtype of the operands); null = not supported
};

// A strided view of memory that somebody else holds. Strides are in elements and may be 0 or negative.
struct View {
  void* data;
  DType dtype;
  int ndim;
  const int64_t* shape;
  const int64_t* strides;
};

// Each instruction set compiles the same sources into a namespace of its own; the choice is made once.
struct KernelSet {
  const char* isa;                                  // "baseline", "avx2" or "avx512"
  std::span<const BlockRow> elementwise;
  BlockFn (*cast)(DType from, DType to);            // out = a converted
  bool (*all_finite)(DType dtype, const void* data, int64_t n);  // true for types that are always finite
  void (*spread)(void* to, const void* element, int64_t width, int64_t n);  // one of 1 to 8 bytes, n times
};
const KernelSet& kernels();  // for this machine (PULLBACK_ISA=baseline or avx2 lowers the choice)

}  // namespace pb
