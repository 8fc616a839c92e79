// A look over memory for infinities and nans: a number is neither if its exponent has a bit that is not set.
#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

// In the upper 16 bits of a number, its sign aside, lies the exponent above a part of the fraction: as integers
// they are at least `limit` for infinities and nans, and for nothing else. So the largest of them tells. The
// other words of an element are carried along, because every instruction set has the maximum of 16 bits.
template <int kWords> bool below(const void* data, int64_t n, int16_t limit) {
  using Word [[gnu::may_alias]] = int16_t;
  using Lanes [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(2)]] = int16_t;
  constexpr int64_t kLanes = 16, kStride = 4 * kLanes;
  constexpr int64_t kBlock = 64 * kStride;  // between two looks at what was gathered
  const Word* p = static_cast<const Word*>(data);
  n *= kWords;
  auto at = [&](int64_t k) { return *reinterpret_cast<const Lanes*>(p + k) & int16_t{0x7fff}; };
  auto larger = [](Lanes a, Lanes b) { return a > b ? a : b; };
  int64_t k = 0;
  while (k + kStride <= n) {
    const int64_t end = k + kBlock < n ? k + kBlock : n;
    Lanes a = at(k), b = at(k + kLanes), c = at(k + 2 * kLanes), d = at(k + 3 * kLanes);
    for (k += kStride; k + kStride <= end; k += kStride) {
      a = larger(a, at(k));
      b = larger(b, at(k + kLanes));
      c = larger(c, at(k + 2 * kLanes));
      d = larger(d, at(k + 3 * kLanes));
    }
    a = larger(larger(a, b), larger(c, d));
    for (int64_t lane = kWords - 1; lane < kLanes; lane += kWords)
      if (a[lane] >= limit) return false;
  }
  for (k += kWords - 1; k < n; k += kWords)
    if ((p[k] & 0x7fff) >= limit) return false;
  return true;
}

}  // namespace

bool all_finite(DType dtype, const void* data, int64_t n) {
  switch (dtype) {
    case DType::Float64: return below<4>(data, n, 0x7ff0);
    case DType::Float32: return below<2>(data, n, 0x7f80);
    case DType::BFloat16: return below<1>(data, n, 0x7f80);
    case DType::Float16: return below<1>(data, n, 0x7c00);
    default: return true;
  }
}

}  // namespace pb::PB_ISA
