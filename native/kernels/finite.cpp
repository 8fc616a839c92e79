// A look over memory for infinities and nans: a number is neither if its exponent has a bit that is not set.
#include <cstring>

#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

#if defined(__AVX512BW__)
constexpr int kLanes = 32;
#else
constexpr int kLanes = 16;
#endif
using Word [[gnu::may_alias]] = int16_t;
using Lanes [[gnu::vector_size(2 * kLanes), gnu::may_alias, gnu::aligned(2)]] = int16_t;

// The bits that tell, in each lane: those of an element's last word, apart from the sign.
template <int kWords> constexpr Lanes telling() {
  Lanes bits{};
  for (int lane = kWords - 1; lane < kLanes; lane += kWords) bits[lane] = 0x7fff;
  return bits;
}

bool reaches(Lanes a, int16_t limit) {
  const auto found = a >= limit;
  uint64_t parts[sizeof found / 8], any = 0;
  std::memcpy(parts, &found, sizeof found);
  for (const uint64_t part : parts) any |= part;
  return any != 0;
}

// In the upper 16 bits of a number, its sign aside, lies the exponent above a part of the fraction: as integers
// they are at least `limit` for infinities and nans, and for nothing else. So the largest of them tells. The
// other words of an element are carried along as zeros, because every instruction set has the maximum of 16 bits.
template <int kWords> bool below(const void* data, int64_t n, int16_t limit) {
  constexpr int64_t kStride = 4 * kLanes;
  constexpr int64_t kBlock = 64 * kStride;  // between two looks at what was gathered
  const Word* p = static_cast<const Word*>(data);
  n *= kWords;
  const Lanes bits = telling<kWords>();
  auto at = [&](int64_t k) { return *reinterpret_cast<const Lanes*>(p + k) & bits; };
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
    if (reaches(larger(larger(a, b), larger(c, d)), limit)) return false;
  }
  for (; k + kLanes <= n; k += kLanes)
    if (reaches(at(k), limit)) return false;
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
