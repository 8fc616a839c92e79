// A look over memory for infinities and nans: all that is read is whether an exponent has every bit set.
#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

// Adding one to an exponent of ones carries into the sign's place, and nothing else does.
template <class Bits> bool no_carry(const void* data, int64_t n, Bits exponent) {
  using Element [[gnu::may_alias]] = Bits;
  using Lanes [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(alignof(Bits))]] = Bits;
  constexpr int64_t kLanes = 32 / sizeof(Bits), kStride = 4 * kLanes;
  constexpr int64_t kBlock = 64 * kStride;  // between two looks at what was gathered
  const Element* p = static_cast<const Element*>(data);
  const Bits one = static_cast<Bits>(exponent & -exponent);
  const Bits sign = static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
  auto at = [&](int64_t k) { return (*reinterpret_cast<const Lanes*>(p + k) & exponent) + one; };
  int64_t k = 0;
  while (k + kStride <= n) {
    const int64_t end = k + kBlock < n ? k + kBlock : n;
    Lanes a = at(k), b = at(k + kLanes), c = at(k + 2 * kLanes), d = at(k + 3 * kLanes);
    for (k += kStride; k + kStride <= end; k += kStride) {
      a |= at(k);
      b |= at(k + kLanes);
      c |= at(k + 2 * kLanes);
      d |= at(k + 3 * kLanes);
    }
    a |= b | c | d;
    Bits gathered = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) gathered |= a[lane];
    if (gathered & sign) return false;
  }
  for (; k < n; ++k)
    if (static_cast<Bits>((p[k] & exponent) + one) & sign) return false;
  return true;
}

}  // namespace

bool all_finite(DType dtype, const void* data, int64_t n) {
  switch (dtype) {
    case DType::Float64: return no_carry<uint64_t>(data, n, 0x7ff0000000000000);
    case DType::Float32: return no_carry<uint32_t>(data, n, 0x7f800000);
    case DType::BFloat16: return no_carry<uint16_t>(data, n, 0x7f80);
    case DType::Float16: return no_carry<uint16_t>(data, n, 0x7c00);
    default: return true;
  }
}

}  // namespace pb::PB_ISA
