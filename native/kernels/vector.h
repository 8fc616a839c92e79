// Vectors of one register, by GCC's vector extensions: the same source for every instruction set.
// Everything lives in pb::PB_ISA, because the sources are compiled once for each instruction set.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PB_INLINE inline __attribute__((always_inline))

// A lambda that is always inlined into its caller.
#define PB_LAMBDA __attribute__((always_inline))

namespace pb::PB_ISA::math {

#if defined(__AVX512DQ__)
inline constexpr int kVectorBytes = 64;
// GCC 12 warns of its own plain forms of some instructions, which leave the lanes of an empty mask undefined.
inline constexpr uint8_t kAllD = 0xff;
inline constexpr uint16_t kAllF = 0xffff;
inline constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T> struct VecOf { typedef T type __attribute__((vector_size(kVectorBytes))); };
template <class T> struct HalfVecOf { typedef T type __attribute__((vector_size(kVectorBytes / 2))); };
template <class T> using Vec = typename VecOf<T>::type;
template <class T> inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

using VecF = Vec<float>;
using VecD = Vec<double>;
using VecI32 = Vec<int32_t>;
using VecI64 = Vec<int64_t>;
using VecU32 = Vec<uint32_t>;
using VecU64 = Vec<uint64_t>;

template <class T> PB_INLINE Vec<T> splat(T x) { return x - Vec<T>{}; }  // x - 0 keeps the sign of a zero

template <class T> PB_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

template <class T> PB_INLINE void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof(v)); }

// The first n lanes from memory, the others 1: a value that no function here treats as an exception.
template <class T> PB_INLINE Vec<T> load_partial(const T* p, int64_t n) {
  T lanes[kLanes<T>];
  for (int i = 0; i < kLanes<T>; ++i) lanes[i] = i < n ? p[i] : T(1);
  return load(lanes);
}

template <class T> PB_INLINE void store_partial(T* p, Vec<T> v, int64_t n) {
  for (int i = 0; i < kLanes<T>; ++i) {
    if (i < n) p[i] = v[i];
  }
}

template <class To, class From> PB_INLINE To bits_as(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return reinterpret_cast<To>(v);
}

PB_INLINE VecI64 bits(VecD v) { return bits_as<VecI64>(v); }
PB_INLINE VecI32 bits(VecF v) { return bits_as<VecI32>(v); }
// Bit patterns to be added and subtracted: unsigned, because they may wrap around.
PB_INLINE VecU64 pattern(VecD v) { return bits_as<VecU64>(v); }
PB_INLINE VecU32 pattern(VecF v) { return bits_as<VecU32>(v); }
PB_INLINE VecD from_pattern(VecU64 v) { return bits_as<VecD>(v); }
PB_INLINE VecF from_pattern(VecU32 v) { return bits_as<VecF>(v); }
PB_INLINE VecD from_bits(VecI64 v) { return bits_as<VecD>(v); }
PB_INLINE VecF from_bits(VecI32 v) { return bits_as<VecF>(v); }

// A comparison of vectors gives a mask: all ones in the lanes where it holds. AVX-512 compares into registers
// of masks, and only the plain expression takes one from there as it is.
PB_INLINE VecD select(VecI64 mask, VecD yes, VecD no) {
#if defined(__AVX512DQ__)
  return mask ? yes : no;
#elif defined(__AVX2__)
  return (VecD)_mm256_blendv_pd((__m256d)no, (__m256d)yes, (__m256d)mask);
#else
  return from_bits((bits(yes) & mask) | (bits(no) & ~mask));
#endif
}

PB_INLINE VecF select(VecI32 mask, VecF yes, VecF no) {
#if defined(__AVX512DQ__)
  return mask ? yes : no;
#elif defined(__AVX2__)
  return (VecF)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
  return from_bits((bits(yes) & mask) | (bits(no) & ~mask));
#endif
}

PB_INLINE bool any(VecI64 mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi64_mask((__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_pd((__m256d)mask) != 0;
#else
  int64_t joined = 0;
  for (int i = 0; i < kLanes<int64_t>; ++i) joined |= mask[i];
  return joined != 0;
#endif
}

// a * b + c with one rounding where the instruction exists, with two elsewhere. Code that needs the exact
// product uses exact_product, which is the same number everywhere.
PB_INLINE VecD fma(VecD a, VecD b, VecD c) {
#if defined(__AVX512DQ__)
  return (VecD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (VecD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

PB_INLINE VecF fma(VecF a, VecF b, VecF c) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (VecF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

// c - a * b.
PB_INLINE VecF fnma(VecF a, VecF b, VecF c) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (VecF)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return c - a * b;
#endif
}

// Whether v < bound in every lane; not where one is NaN.
PB_INLINE bool all_below(VecF v, float bound) {
#if defined(__AVX512DQ__)
  return _mm512_cmp_ps_mask((__m512)v, (__m512)splat(bound), _CMP_NLT_UQ) == 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)splat(bound), _CMP_NLT_UQ)) == 0;
#else
  const VecI32 below = v < bound;
  int32_t joined = -1;
  for (int i = 0; i < kLanes<int32_t>; ++i) joined &= below[i];
  return joined != 0;
#endif
}

#if defined(__AVX2__)
// Whether all lanes are positive, normal and finite.
PB_INLINE bool all_ordinary(VecF v) {
#if defined(__AVX512DQ__)
  return _mm512_fpclass_ps_mask((__m512)v, 0xff) == 0;
#else
  const __m256i shifted = (__m256i)(pattern(v) + 0x7f800000u);
  return _mm256_movemask_epi8(_mm256_cmpgt_epi32(shifted, _mm256_set1_epi32(-0x01000001))) == 0;
#endif
}

// table[index % 8].
PB_INLINE VecF look_up(const float (&table)[8], VecU32 index) {
  const __m256 eight = _mm256_loadu_ps(table);
#if defined(__AVX512DQ__)
  const __m512 twice = _mm512_maskz_broadcast_f32x8(kAllF, eight);
  return (VecF)_mm512_maskz_permutexvar_ps(kAllF, (__m512i)index, twice);
#else
  return (VecF)_mm256_permutevar8x32_ps(eight, (__m256i)index);
#endif
}
#endif

PB_INLINE VecD fabs(VecD v) { return from_bits(bits(v) & INT64_MAX); }
PB_INLINE VecF fabs(VecF v) { return from_bits(bits(v) & INT32_MAX); }
PB_INLINE VecI64 sign_bit(VecD v) { return bits(v) & INT64_MIN; }
PB_INLINE VecI32 sign_bit(VecF v) { return bits(v) & INT32_MIN; }
// The sign of `sign` put on a value whose own sign bit is clear.
PB_INLINE VecD with_sign(VecD v, VecD sign) { return from_bits(bits(v) | sign_bit(sign)); }
PB_INLINE VecF with_sign(VecF v, VecF sign) { return from_bits(bits(v) | sign_bit(sign)); }

// NaN in v stays: the instructions return their second operand where one is NaN.
PB_INLINE VecD at_least(double low, VecD v) {
#if defined(__AVX512DQ__)
  return (VecD)_mm512_maskz_max_pd(kAllD, (__m512d)splat(low), (__m512d)v);
#elif defined(__AVX2__)
  return (VecD)_mm256_max_pd((__m256d)splat(low), (__m256d)v);
#elif defined(__SSE2__)
  return (VecD)_mm_max_pd((__m128d)splat(low), (__m128d)v);
#else
  return select(v < low, splat(low), v);
#endif
}

PB_INLINE VecD at_most(double high, VecD v) {
#if defined(__AVX512DQ__)
  return (VecD)_mm512_maskz_min_pd(kAllD, (__m512d)splat(high), (__m512d)v);
#elif defined(__AVX2__)
  return (VecD)_mm256_min_pd((__m256d)splat(high), (__m256d)v);
#elif defined(__SSE2__)
  return (VecD)_mm_min_pd((__m128d)splat(high), (__m128d)v);
#else
  return select(v > high, splat(high), v);
#endif
}

PB_INLINE VecF at_least(float low, VecF v) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_maskz_max_ps(kAllF, (__m512)splat(low), (__m512)v);
#elif defined(__AVX2__)
  return (VecF)_mm256_max_ps((__m256)splat(low), (__m256)v);
#else
  return select(v < low, splat(low), v);
#endif
}

PB_INLINE VecF at_most(float high, VecF v) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_maskz_min_ps(kAllF, (__m512)splat(high), (__m512)v);
#elif defined(__AVX2__)
  return (VecF)_mm256_min_ps((__m256)splat(high), (__m256)v);
#else
  return select(v > high, splat(high), v);
#endif
}

PB_INLINE VecD clamp(VecD v, double low, double high) { return at_most(high, at_least(low, v)); }

template <class V, class F> PB_INLINE V per_lane(F f, V v) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(v[0]); ++i) v[i] = f(v[i]);
  return v;
}

template <class V, class F> PB_INLINE V per_lane(F f, V a, V b) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i) a[i] = f(a[i], b[i]);
  return a;
}

PB_INLINE VecD sqrt(VecD v) {
#if defined(__AVX512DQ__)
  return (VecD)_mm512_maskz_sqrt_pd(kAllD, (__m512d)v);
#elif defined(__AVX2__)
  return (VecD)_mm256_sqrt_pd((__m256d)v);
#elif defined(__SSE2__)
  return (VecD)_mm_sqrt_pd((__m128d)v);
#else
  return per_lane([](double x) { return __builtin_sqrt(x); }, v);
#endif
}

PB_INLINE VecF sqrt(VecF v) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_maskz_sqrt_ps(kAllF, (__m512)v);
#elif defined(__AVX2__)
  return (VecF)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__)
  return (VecF)_mm_sqrt_ps((__m128)v);
#else
  return per_lane([](float x) { return __builtin_sqrtf(x); }, v);
#endif
}

PB_INLINE VecD floor(VecD v) {
#if defined(__AVX512DQ__)
  return (VecD)_mm512_maskz_roundscale_pd(kAllD, (__m512d)v, kDown);
#elif defined(__AVX2__)
  return (VecD)_mm256_floor_pd((__m256d)v);
#else
  return per_lane([](double x) { return __builtin_floor(x); }, v);
#endif
}

PB_INLINE VecF floor(VecF v) {
#if defined(__AVX512DQ__)
  return (VecF)_mm512_maskz_roundscale_ps(kAllF, (__m512)v, kDown);
#elif defined(__AVX2__)
  return (VecF)_mm256_floor_ps((__m256)v);
#else
  return per_lane([](float x) { return __builtin_floorf(x); }, v);
#endif
}

// Adding this constant leaves the nearest integer (ties to even) in the low bits; |x| < 2^51.
inline constexpr double kRoundMagic = 0x1.8p52;
inline constexpr float kRoundMagicF = 0x1.8p23f;  // |x| < 2^22
PB_INLINE VecD round_small(VecD v) { return (v + kRoundMagic) - kRoundMagic; }

// Any magnitude: from 2^52 on a double is an integer already.
PB_INLINE VecD round_even(VecD v) {
  VecD a = fabs(v);
  VecD r = (a + 0x1p52) - 0x1p52;
  return with_sign(select(a < 0x1p52, r, a), v);
}

struct HalvesD { VecD low, high; };

// By name, because GCC 12 takes __builtin_convertvector between registers of two sizes apart into halves.
PB_INLINE HalvesD widen(VecF v) {
#if defined(__AVX512DQ__)
  const __m256 first = _mm512_maskz_extractf32x8_ps(kAllD, (__m512)v, 0);
  const __m256 second = _mm512_maskz_extractf32x8_ps(kAllD, (__m512)v, 1);
  return {(VecD)_mm512_maskz_cvtps_pd(kAllD, first), (VecD)_mm512_maskz_cvtps_pd(kAllD, second)};
#elif defined(__AVX2__)
  return {(VecD)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v)),
          (VecD)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1))};
#else
  typedef typename HalfVecOf<float>::type Half;
  Half part[2];
  std::memcpy(part, &v, sizeof(v));
  return {__builtin_convertvector(part[0], VecD), __builtin_convertvector(part[1], VecD)};
#endif
}

PB_INLINE VecF narrow(VecD low, VecD high) {
#if defined(__AVX512DQ__)
  const __m256 first = _mm512_maskz_cvtpd_ps(kAllD, (__m512d)low);
  const __m256 second = _mm512_maskz_cvtpd_ps(kAllD, (__m512d)high);
  return (VecF)__builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
  return (VecF)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)high), _mm256_cvtpd_ps((__m256d)low));
#else
  typedef typename HalfVecOf<float>::type Half;
  Half part[2] = {__builtin_convertvector(low, Half), __builtin_convertvector(high, Half)};
  VecF v;
  std::memcpy(&v, part, sizeof(v));
  return v;
#endif
}

// float32 through double: the one rounding at the end makes nearly every result the correctly rounded one.
template <class F> PB_INLINE VecF through_double(F f, VecF x) {
  HalvesD h = widen(x);
  return narrow(f(h.low), f(h.high));
}

template <class F> PB_INLINE VecF through_double(F f, VecF x, VecF y) {
  HalvesD a = widen(x), b = widen(y);
  return narrow(f(a.low, b.low), f(a.high, b.high));
}

// An unevaluated sum of two doubles, |low| at most about half a unit in the last place of high.
struct Pair { VecD high, low; };

PB_INLINE Pair two_sum(VecD a, VecD b) {
  VecD s = a + b;
  VecD t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

// |a| >= |b| or a == 0.
PB_INLINE Pair fast_two_sum(VecD a, VecD b) {
  VecD s = a + b;
  return {s, b - (s - a)};
}

PB_INLINE Pair exact_product(VecD a, VecD b) {
  VecD p = a * b;
#if defined(__AVX512DQ__)
  return {p, (VecD)_mm512_fmsub_pd((__m512d)a, (__m512d)b, (__m512d)p)};
#elif defined(__FMA__)
  return {p, (VecD)_mm256_fmsub_pd((__m256d)a, (__m256d)b, (__m256d)p)};
#else
  // Splitting by clearing the low 27 bits cannot overflow, and leaves halves with exact products.
  VecD ah = from_bits(bits(a) & ~INT64_C(0x7ffffff)), al = a - ah;
  VecD bh = from_bits(bits(b) & ~INT64_C(0x7ffffff)), bl = b - bh;
  return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
#endif
}

// (n.high + n.low) / (d.high + d.low), to about 2^-100.
PB_INLINE Pair ratio(Pair n, Pair d) {
  VecD q = n.high / d.high;
  Pair p = exact_product(q, d.high);
  VecD rest = ((n.high - p.high) - p.low) + (n.low - q * d.low);
  return {q, rest / d.high};
}

PB_INLINE VecD divide(Pair n, Pair d) {
  Pair q = ratio(n, d);
  return q.high + q.low;
}

template <int N> PB_INLINE VecD polynomial(VecD x, const double (&c)[N]) {
  VecD y = splat(c[N - 1]);
#pragma GCC unroll 32
  for (int i = N - 2; i >= 0; --i) y = fma(y, x, splat(c[i]));
  return y;
}

// The same in two halves, of even and of odd powers: long chains of operations leave the processor waiting.
template <int N> PB_INLINE VecD long_polynomial(VecD x, const double (&c)[N]) {
  static_assert(N % 2 == 0);
  VecD square = x * x, even = splat(c[N - 2]), odd = splat(c[N - 1]);
#pragma GCC unroll 32
  for (int i = N - 4; i >= 0; i -= 2) {
    even = fma(even, square, splat(c[i]));
    odd = fma(odd, square, splat(c[i + 1]));
  }
  return fma(odd, x, even);
}

template <int N> PB_INLINE VecF polynomial(VecF x, const float (&c)[N]) {
  VecF y = splat(c[N - 1]);
#pragma GCC unroll 32
  for (int i = N - 2; i >= 0; --i) y = fma(y, x, splat(c[i]));
  return y;
}

}  // namespace pb::PB_ISA::math
