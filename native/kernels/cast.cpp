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

#if defined(__AVX2__)
inline void truncate_eight(const float* x, int32_t* y) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm256_cvttps_epi32(_mm256_loadu_ps(x)));
}
inline void truncate_eight(const double* x, int32_t* y) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm256_cvttpd_epi32(_mm256_loadu_pd(x)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 4), _mm256_cvttpd_epi32(_mm256_loadu_pd(x + 4)));
}
#endif
#if defined(__AVX512DQ__)
inline void truncate_eight(const float* x, int64_t* y) {
  _mm512_storeu_si512(y, _mm512_maskz_cvttps_epi64(math::kAllD, _mm256_loadu_ps(x)));
}
inline void truncate_eight(const double* x, int64_t* y) {
  _mm512_storeu_si512(y, _mm512_maskz_cvttpd_epi64(math::kAllD, _mm512_loadu_pd(x)));
}
#endif

template <class From, class To> void cast(void* out, const void* a, const void*, const void*, int64_t n) {
  auto x = static_cast<const From*>(a);
  auto y = static_cast<To*>(out);
  int64_t i = 0;
#if defined(__AVX2__)
  if constexpr (requires { truncate_eight(x, y); })
    for (; i + 8 <= n; i += 8) truncate_eight(x + i, y + i);
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
    case DType::Bool:
      return to == DType::Bool ? cast<bool, bool> : cast_from<uint8_t>(to);  // 0 and 1, as bytes
    case DType::UInt8: return cast_from<uint8_t>(to);
    case DType::Int32: return cast_from<int32_t>(to);
    case DType::Int64: return cast_from<int64_t>(to);
    case DType::Float32: return cast_from<float>(to);
    case DType::Float64: return cast_from<double>(to);
    default: return nullptr;
  }
}

}  // namespace pb::PB_ISA
