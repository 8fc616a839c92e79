// The elementwise kernels: one loop per arity and kind of functor, then the only list.
#include "kernels/elementwise.h"

#include <type_traits>

#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

using math::kLanes, math::load, math::load_partial, math::store, math::store_partial;

// The output may be an input, never a shifted one: iterations do not depend on each other.
template <class F, class T> void elements1(void* out, const void* a, const void*, const void*, int64_t n) {
  auto x = static_cast<const T*>(a);
  auto y = static_cast<decltype(F{}(T{}))*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = F{}(x[i]);
}

template <class F, class T> void elements2(void* out, const void* a, const void* b, const void*, int64_t n) {
  auto x = static_cast<const T*>(a);
  auto z = static_cast<const T*>(b);
  auto y = static_cast<decltype(F{}(T{}, T{}))*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = F{}(x[i], z[i]);
}

// One register of what a register's worth of truth values chooses. By name, because the compiler takes bytes
// beside wider elements apart. Only bits are moved, so a type of the same width stands for all.
#if defined(__AVX512DQ__)
inline void choose(float* y, const uint8_t* condition, const float* yes, const float* no) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(condition));
  const __m512i lanes = _mm512_maskz_cvtepu8_epi32(math::kAllF, bytes);
  _mm512_storeu_ps(y, _mm512_mask_blend_ps(_mm512_test_epi32_mask(lanes, lanes), _mm512_loadu_ps(no),
                                           _mm512_loadu_ps(yes)));
}
inline void choose(double* y, const uint8_t* condition, const double* yes, const double* no) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(condition));
  const __m512i lanes = _mm512_maskz_cvtepu8_epi64(math::kAllD, bytes);
  _mm512_storeu_pd(y, _mm512_mask_blend_pd(_mm512_test_epi64_mask(lanes, lanes), _mm512_loadu_pd(no),
                                           _mm512_loadu_pd(yes)));
}
#elif defined(__AVX2__)
inline void choose(float* y, const uint8_t* condition, const float* yes, const float* no) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(condition));
  const __m256i chosen = _mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_setzero_si256());
  _mm256_storeu_ps(y, _mm256_blendv_ps(_mm256_loadu_ps(no), _mm256_loadu_ps(yes), __m256(chosen)));
}
inline void choose(double* y, const uint8_t* condition, const double* yes, const double* no) {
  int32_t bytes;
  std::memcpy(&bytes, condition, sizeof bytes);
  const __m256i chosen =
      _mm256_cmpgt_epi64(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes)), _mm256_setzero_si256());
  _mm256_storeu_pd(y, _mm256_blendv_pd(_mm256_loadu_pd(no), _mm256_loadu_pd(yes), __m256d(chosen)));
}
#endif

template <class T> void where(void* out, const void* a, const void* b, const void* c, int64_t n) {
  auto condition = static_cast<const uint8_t*>(a);
  auto yes = static_cast<const T*>(b);
  auto no = static_cast<const T*>(c);
  auto y = static_cast<T*>(out);
  int64_t i = 0;
#if defined(__AVX2__)
  if constexpr (sizeof(T) >= 4) {
    using Bits = std::conditional_t<sizeof(T) == 4, float, double>;
    for (; i + kLanes<Bits> <= n; i += kLanes<Bits>) {
      choose(reinterpret_cast<Bits*>(y + i), condition + i, reinterpret_cast<const Bits*>(yes + i),
             reinterpret_cast<const Bits*>(no + i));
    }
  }
#endif
#pragma GCC ivdep
  for (; i < n; ++i) {
    T u = yes[i], v = no[i];
    y[i] = condition[i] ? u : v;
  }
}

template <class F, class T> void registers1(void* out, const void* a, const void*, const void*, int64_t n) {
  auto x = static_cast<const T*>(a);
  auto y = static_cast<T*>(out);
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(y + i, F{}(load(x + i)));
  if (i < n) store_partial<T>(y + i, F{}(load_partial(x + i, n - i)), n - i);
}

template <class F, class T> void registers2(void* out, const void* a, const void* b, const void*, int64_t n) {
  auto x = static_cast<const T*>(a);
  auto z = static_cast<const T*>(b);
  auto y = static_cast<T*>(out);
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(y + i, F{}(load(x + i), load(z + i)));
  if (i < n) { store_partial<T>(y + i, F{}(load_partial(x + i, n - i), load_partial(z + i, n - i)), n - i); }
}

// a * b + c with one rounding, also where the instruction set has no such instruction.
template <class T> void fused(void* out, const void* a, const void* b, const void* c, int64_t n) {
  auto x = static_cast<const T*>(a);
  auto z = static_cast<const T*>(b);
  auto w = static_cast<const T*>(c);
  auto y = static_cast<T*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_integral_v<T>) y[i] = Add{}(Mul{}(x[i], z[i]), w[i]);
    else y[i] = __builtin_fma(x[i], z[i], w[i]);
  }
}
template <> void fused<float>(void* out, const void* a, const void* b, const void* c, int64_t n) {
  auto x = static_cast<const float*>(a);
  auto z = static_cast<const float*>(b);
  auto w = static_cast<const float*>(c);
  auto y = static_cast<float*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = __builtin_fmaf(x[i], z[i], w[i]);
}

template <class... Ts> struct Types {};
using Bools = Types<bool>;
using Integers = Types<uint8_t, int32_t, int64_t>;
using Floats = Types<float, double>;
using BitTypes = Types<bool, uint8_t, int32_t, int64_t>;
using Numbers = Types<uint8_t, int32_t, int64_t, float, double>;
using All = Types<bool, uint8_t, int32_t, int64_t, float, double>;

template <class F, class... Ts> constexpr BlockRow unary(const char* name, uint8_t cost, Types<Ts...>) {
  BlockRow row{name, 1, cost, {}};
  ((row.fn[static_cast<int>(dtype_of<Ts>())] = elements1<F, Ts>), ...);
  return row;
}

template <class F, class... Ts> constexpr BlockRow binary(const char* name, uint8_t cost, Types<Ts...>) {
  BlockRow row{name, 2, cost, {}};
  ((row.fn[static_cast<int>(dtype_of<Ts>())] = elements2<F, Ts>), ...);
  return row;
}

template <class F> constexpr BlockRow vector_unary(const char* name, uint8_t cost) {
  BlockRow row{name, 1, cost, {}};
  row.fn[static_cast<int>(DType::Float32)] = registers1<F, float>;
  row.fn[static_cast<int>(DType::Float64)] = registers1<F, double>;
  return row;
}

template <class F> constexpr BlockRow vector_binary(const char* name, uint8_t cost) {
  BlockRow row{name, 2, cost, {}};
  row.fn[static_cast<int>(DType::Float32)] = registers2<F, float>;
  row.fn[static_cast<int>(DType::Float64)] = registers2<F, double>;
  return row;
}

// One primitive whose integers are counted out and whose floats are computed in registers.
template <class FloatF, class IntF> constexpr BlockRow division(const char* name, uint8_t cost) {
  BlockRow row = binary<IntF>(name, cost, Integers{});
  row.fn[static_cast<int>(DType::Float32)] = registers2<FloatF, float>;
  row.fn[static_cast<int>(DType::Float64)] = registers2<FloatF, double>;
  return row;
}

template <class F, class... Ts> constexpr BlockRow negation(const char* name, Types<Ts...> types) {
  BlockRow row = unary<F>(name, 1, types);
  row.fn[static_cast<int>(DType::Bool)] = elements1<TruthNot, uint8_t>;
  return row;
}

template <class... Ts> constexpr BlockRow where_row(Types<Ts...>) {
  BlockRow row{"where", 3, 1, {}};
  ((row.fn[static_cast<int>(dtype_of<Ts>())] = where<Ts>), ...);
  return row;
}

template <class... Ts> constexpr BlockRow fused_row(Types<Ts...>) {
  BlockRow row{"fma", 3, 1, {}};
  ((row.fn[static_cast<int>(dtype_of<Ts>())] = fused<Ts>), ...);
  return row;
}

constexpr BlockRow kRows[] = {
    unary<Neg>("neg", 1, Numbers{}),
    unary<Abs>("abs", 1, Numbers{}),
    unary<Sign>("sign", 1, All{}),
    unary<Sign>("sgn", 1, All{}),
    unary<Square>("square", 1, Numbers{}),
    unary<Reciprocal>("reciprocal", 3, Floats{}),
    unary<Relu>("relu", 1, Numbers{}),
    unary<Floor>("floor", 1, Numbers{}),
    unary<Ceil>("ceil", 1, Numbers{}),
    unary<Round>("round", 1, Numbers{}),
    unary<Trunc>("trunc", 1, Numbers{}),
    unary<Frac>("frac", 1, Floats{}),
    unary<IsNan>("isnan", 1, All{}),
    unary<IsInf>("isinf", 1, All{}),
    unary<IsFinite>("isfinite", 1, All{}),
    negation<LogicalNot>("logical_not", All{}),
    negation<BitwiseNot>("bitwise_not", BitTypes{}),
    unary<Copy>("copy", 1, All{}),
    unary<Copy>("positive", 1, Numbers{}),
    vector_unary<Sqrt>("sqrt", 3),
    vector_unary<Rsqrt>("rsqrt", 5),
    vector_unary<Exp>("exp", 8),
    vector_unary<Exp2>("exp2", 10),
    vector_unary<Expm1>("expm1", 10),
    vector_unary<Log>("log", 10),
    vector_unary<Log2>("log2", 16),
    vector_unary<Log10>("log10", 16),
    vector_unary<Log1p>("log1p", 16),
    vector_unary<LogSigmoid>("log_sigmoid", 24),
    vector_unary<Sin>("sin", 12),
    vector_unary<Cos>("cos", 12),
    vector_unary<Tan>("tan", 16),
    vector_unary<Asin>("asin", 20),
    vector_unary<Acos>("acos", 20),
    vector_unary<Atan>("atan", 16),
    vector_unary<Sinh>("sinh", 16),
    vector_unary<Cosh>("cosh", 16),
    vector_unary<Tanh>("tanh", 10),
    vector_unary<Sigmoid>("sigmoid", 10),
    vector_unary<Erf>("erf", 20),
    vector_unary<Erfc>("erfc", 20),
    vector_unary<Erfinv>("erfinv", 200),
    vector_unary<Lgamma>("lgamma", 200),
    vector_unary<Digamma>("digamma", 200),
    binary<Add>("add", 1, All{}),
    binary<Sub>("sub", 1, Numbers{}),
    binary<Mul>("mul", 1, All{}),
    binary<Div>("div", 3, Floats{}),
    division<FloorDivide, IntFloorDivide>("floor_divide", 20),
    division<Remainder, IntRemainder>("remainder", 20),
    division<Fmod, IntFmod>("fmod", 20),
    division<Pow, IntPow>("pow", 40),
    binary<Maximum>("maximum", 1, All{}),
    binary<Minimum>("minimum", 1, All{}),
    binary<Fmax>("fmax", 1, All{}),
    binary<Fmin>("fmin", 1, All{}),
    vector_binary<Atan2>("atan2", 20),
    vector_binary<Hypot>("hypot", 8),
    vector_binary<Logaddexp>("logaddexp", 24),
    binary<Equal>("eq", 1, All{}),
    binary<NotEqual>("ne", 1, All{}),
    binary<Less>("lt", 1, All{}),
    binary<LessEqual>("le", 1, All{}),
    binary<Greater>("gt", 1, All{}),
    binary<GreaterEqual>("ge", 1, All{}),
    binary<LogicalAnd>("logical_and", 1, All{}),
    binary<LogicalOr>("logical_or", 1, All{}),
    binary<LogicalXor>("logical_xor", 1, All{}),
    binary<BitwiseAnd>("bitwise_and", 1, BitTypes{}),
    binary<BitwiseOr>("bitwise_or", 1, BitTypes{}),
    binary<BitwiseXor>("bitwise_xor", 1, BitTypes{}),
    binary<ShiftLeft>("bitwise_left_shift", 1, Integers{}),
    binary<ShiftRight>("bitwise_right_shift", 1, Integers{}),
    where_row(All{}),
    fused_row(Numbers{}),
};

}  // namespace

std::span<const BlockRow> elementwise_rows() { return kRows; }

}  // namespace pb::PB_ISA
