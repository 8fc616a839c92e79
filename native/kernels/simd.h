// Vectors for the matrix kernels, in GCC's and Clang's own vector types: the same source becomes AVX-512 or
// AVX2 with fused multiply-add, or pairs of SSE2 or NEON registers. Include only from files compiled once
// per ISA.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace pb::PB_ISA {

#if defined(__AVX512F__)
inline constexpr int kBytes = 64;
#else
inline constexpr int kBytes = 32;
#endif

template <class T> struct Simd;
template <> struct Simd<float> { typedef float V __attribute__((vector_size(kBytes))); };
template <> struct Simd<double> { typedef double V __attribute__((vector_size(kBytes))); };
template <class T> using Vec = typename Simd<T>::V;
template <class T> inline constexpr int kWidth = kBytes / static_cast<int>(sizeof(T));

template <class T> inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T> inline void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }

// Past the caches, to memory aligned to whole vectors; end_stream() comes after the last one.
#if defined(__AVX512F__)
inline void store_past(float* p, Vec<float> v) { _mm512_stream_ps(p, __m512(v)); }
inline void store_past(double* p, Vec<double> v) { _mm512_stream_pd(p, __m512d(v)); }
#elif defined(__AVX2__) && defined(__FMA__)
inline void store_past(float* p, Vec<float> v) { _mm256_stream_ps(p, __m256(v)); }
inline void store_past(double* p, Vec<double> v) { _mm256_stream_pd(p, __m256d(v)); }
#else
template <class T> inline void store_past(T* p, Vec<T> v) { store(p, v); }
#endif

template <class T> inline Vec<T> broadcast(T x) { return x - Vec<T>{}; }  // x - 0 keeps the sign of a zero

#if defined(__AVX512F__)
inline Vec<float> madd(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
}
inline Vec<double> madd(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
}
inline float madd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double madd(double a, double b, double c) { return __builtin_fma(a, b, c); }
#elif defined(__AVX2__) && defined(__FMA__)
inline Vec<float> madd(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
}
inline Vec<double> madd(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
}
inline float madd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double madd(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
// Without the instruction a fused multiply-add would be a library call for each element.
template <class V> inline V madd(V a, V b, V c) { return c + a * b; }
#endif

// The first n elements of a vector, n at most its width; no memory behind them is touched. The rest is 0.
#if defined(__AVX512F__)
inline Vec<float> load_part(const float* p, int n) {
  return Vec<float>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p));
}
inline Vec<double> load_part(const double* p, int n) {
  return Vec<double>(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p));
}
inline void store_part(float* p, Vec<float> v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), __m512(v));
}
inline void store_part(double* p, Vec<double> v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), __m512d(v));
}
#elif defined(__AVX2__) && defined(__FMA__)
inline __m256i first_of_8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first_of_4(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline Vec<float> load_part(const float* p, int n) {
  return Vec<float>(_mm256_maskload_ps(p, first_of_8(n)));
}
inline Vec<double> load_part(const double* p, int n) {
  return Vec<double>(_mm256_maskload_pd(p, first_of_4(n)));
}
inline void store_part(float* p, Vec<float> v, int n) { _mm256_maskstore_ps(p, first_of_8(n), __m256(v)); }
inline void store_part(double* p, Vec<double> v, int n) { _mm256_maskstore_pd(p, first_of_4(n), __m256d(v)); }
#else
template <class T> inline Vec<T> load_part(const T* p, int n) {
  T values[kWidth<T>] = {};
  for (int j = 0; j < n; ++j) values[j] = p[j];
  return load(values);
}
template <class T> inline void store_part(T* p, Vec<T> v, int n) {
  T values[kWidth<T>];
  store(values, v);
  for (int j = 0; j < n; ++j) p[j] = values[j];
}
#endif

#if defined(__AVX2__) && defined(__FMA__)
// Upper half onto the lower, again and again.
inline float sum_of_halves(__m256 v) {
  const __m128 four = _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return two[0] + two[1];
}
inline double sum_of_halves(__m256d v) {
  const __m128d two = _mm256_castpd256_pd128(v) + _mm256_extractf128_pd(v, 1);
  return two[0] + two[1];
}
#endif
#if defined(__AVX512F__)
inline __m256 upper_onto_lower(Vec<float> v) {
  return _mm512_maskz_extractf32x8_ps(0xff, __m512(v), 0) + _mm512_maskz_extractf32x8_ps(0xff, __m512(v), 1);
}
inline __m256d upper_onto_lower(Vec<double> v) {
  return _mm512_maskz_extractf64x4_pd(0xf, __m512d(v), 0) + _mm512_maskz_extractf64x4_pd(0xf, __m512d(v), 1);
}
#endif

// 64 bytes: the lanes in which long dot products are summed, however wide the machine's vectors are.
template <class T> struct Lanes {
  static constexpr int kCount = 64 / static_cast<int>(sizeof(T));
  static constexpr int kParts = 64 / kBytes;
  Vec<T> part[kParts] = {};

  void madd(const T* a, const T* b) {
    for (int i = 0; i < kParts; ++i) {
      part[i] = PB_ISA::madd(load(a + i * kWidth<T>), load(b + i * kWidth<T>), part[i]);
    }
  }
  // The last n < kCount products of a sum.
  void madd_part(const T* a, const T* b, int64_t n) {
    for (int i = 0; i < kParts; ++i) {
      const int64_t rest = n - i * kWidth<T>;
      const int here = static_cast<int>(rest < 0 ? 0 : rest < kWidth<T> ? rest : kWidth<T>);
      part[i] = PB_ISA::madd(load_part(a + i * kWidth<T>, here), load_part(b + i * kWidth<T>, here), part[i]);
    }
  }
  Lanes operator+(const Lanes& o) const {
    Lanes sum;
    for (int i = 0; i < kParts; ++i) sum.part[i] = part[i] + o.part[i];
    return sum;
  }

  // Halves onto halves: with 16 lanes, lane i with lane i + 8, then + 4, + 2, + 1.
  T sum_halves() const {
#if defined(__AVX512F__)
    return sum_of_halves(upper_onto_lower(part[0]));
#elif defined(__AVX2__) && defined(__FMA__)
    return sum_of_halves(part[0] + part[1]);
#else
    T v[kCount];
    fold_to(1, v);
    return v[0];
#endif
  }
  // As above down to four lanes, then neighbours.
  T sum_neighbours() const {
    T v[kCount];
    fold_to(4, v);
    return (v[0] + v[1]) + (v[2] + v[3]);
  }
  // Four lanes onto the first four, again and again, then neighbours.
  T sum_quarters() const {
    T v[kCount];
    write(v);
    for (int q = 4; q < kCount; q += 4) {
      for (int i = 0; i < 4; ++i) v[i] = v[i] + v[q + i];
    }
    return (v[0] + v[1]) + (v[2] + v[3]);
  }
  // Neighbouring pairs of pairs: (0 + 2) + (1 + 3) in each four lanes, then these in order.
  T sum_fours() const {
    T v[kCount];
    write(v);
    T sum = (v[0] + v[2]) + (v[1] + v[3]);
    for (int q = 4; q < kCount; q += 4) sum = sum + ((v[q] + v[q + 2]) + (v[q + 1] + v[q + 3]));
    return sum;
  }

 private:
  void write(T* v) const {
    for (int i = 0; i < kParts; ++i) store(v + i * kWidth<T>, part[i]);
  }
  void fold_to(int lanes, T* v) const {
    write(v);
    for (int half = kCount / 2; half >= lanes; half /= 2) {
      for (int i = 0; i < half; ++i) v[i] = v[i] + v[i + half];
    }
  }
};

}  // namespace pb::PB_ISA
