// Vectors of 32 bytes for every instruction set (a baseline build uses two registers for one). Kernels whose
// order of additions is part of their result use these, so that all machines add in the same order.
#pragma once
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pb::PB_ISA {

template <class T> struct WideOf;
template <> struct WideOf<float> {
  using type [[gnu::vector_size(32)]] = float;
  using loose [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
};
template <> struct WideOf<double> {
  using type [[gnu::vector_size(32)]] = double;
  using loose [[gnu::vector_size(32), gnu::aligned(8), gnu::may_alias]] = double;
};
template <class T> using Wide = typename WideOf<T>::type;
using WideInt [[gnu::vector_size(32)]] = int32_t;
using WideWord [[gnu::vector_size(32)]] = uint32_t;

template <class T> inline constexpr int64_t kWide = 32 / sizeof(T);

template <class T> inline Wide<T> load_wide(const T* p) {
  return *reinterpret_cast<const typename WideOf<T>::loose*>(p);
}
template <class T> inline void store_wide(T* p, const Wide<T>& v) {
  *reinterpret_cast<typename WideOf<T>::loose*>(p) = v;
}

// a * b + c, rounded once where the machine can.
inline Wide<float> wide_fma(const Wide<float>& a, const Wide<float>& b, const Wide<float>& c) {
#if defined(__FMA__)
  return (Wide<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline Wide<double> wide_fma(const Wide<double>& a, const Wide<double>& b, const Wide<double>& c) {
#if defined(__FMA__)
  return (Wide<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

}  // namespace pb::PB_ISA
