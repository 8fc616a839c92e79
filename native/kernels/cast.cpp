// Conversions between all element types that have storage.
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/table.h"
#include "kernels/vector.h"

namespace pb::PB_ISA {
namespace {

// C++ leaves the conversion of a float outside the integer's range undefined. The x86 instruction, and so
// torch, gives the smallest integer there.
template <class To, class From> PB_INLINE To truncate(From x) {
  constexpr From kBound = -static_cast<From>(std::numeric_limits<To>::min());
  bool inside = x >= -kBound && x < kBound;
  return inside ? static_cast<To>(x) : std::numeric_limits<To>::min();
}

#if defined(__x86_64__)
template <> PB_INLINE int32_t truncate<int32_t, float>(float x) { return _mm_cvttss_si32(_mm_set_ss(x)); }
template <> PB_INLINE int32_t truncate<int32_t, double>(double x) { return _mm_cvttsd_si32(_mm_set_sd(x)); }
template <> PB_INLINE int64_t truncate<int64_t, float>(float x) { return _mm_cvttss_si64(_mm_set_ss(x)); }
template <> PB_INLINE int64_t truncate<int64_t, double>(double x) { return _mm_cvttsd_si64(_mm_set_sd(x)); }
#endif

template <class From, class To> PB_INLINE To converted(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint8_t>) {
    return static_cast<uint8_t>(truncate<int64_t>(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return truncate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <class From, class To> void cast(void* out, const void* a, const void*, const void*, int64_t n) {
  auto x = static_cast<const From*>(a);
  auto y = static_cast<To*>(out);
  int64_t i = 0;
#if defined(__AVX2__)
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, int32_t>) {
    for (; i + 8 <= n; i += 8)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), _mm256_cvttps_epi32(_mm256_loadu_ps(x + i)));
  }
#endif
  for (; i < n; ++i) y[i] = converted<From, To>(x[i]);
}

template <class From> BlockFn cast_from(DType to) {
  switch (to) {
    case DType::Bool: return cast<From, bool>;
    case DType::UInt8: return cast<From, uint8_t>;
    case DType::Int32: return cast<From, int32_t>;
    case DType::Int64: return cast<From, int64_t>;
    case DType::Float32: return cast<From, float>;
    case DType::Float64: return cast<From, double>;
    default: return nullptr;
  }
}

}  // namespace

BlockFn cast_row(DType from, DType to) {
  switch (from) {
    case DType::Bool: return cast_from<bool>(to);
    case DType::UInt8: return cast_from<uint8_t>(to);
    case DType::Int32: return cast_from<int32_t>(to);
    case DType::Int64: return cast_from<int64_t>(to);
    case DType::Float32: return cast_from<float>(to);
    case DType::Float64: return cast_from<double>(to);
    default: return nullptr;
  }
}

}  // namespace pb::PB_ISA
