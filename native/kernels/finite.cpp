// A look over memory for infinities and nans: all that is read is whether an exponent has every bit set.
#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

// Adding one to an exponent of ones carries into the sign's place, and nothing else does.
template <class Bits> bool no_carry(const void* data, int64_t n, Bits exponent) {
  using Element [[gnu::may_alias]] = Bits;
  constexpr int64_t kBlock = 2048;  // between two looks at what was gathered
  const Element* p = static_cast<const Element*>(data);
  const Bits one = static_cast<Bits>(exponent & -exponent);
  const Bits sign = static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t end = i + kBlock < n ? i + kBlock : n;
    Bits gathered = 0;
    for (int64_t k = i; k < end; ++k) gathered |= static_cast<Bits>((p[k] & exponent) + one);
    if (gathered & sign) return false;
  }
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
