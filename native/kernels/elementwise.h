// The elementwise primitives as functors; their derivatives are Python declarations.
// Two kinds: exact operations take one element and are left to the compiler's vectoriser (their bits cannot
// depend on how), the others take a whole register.
#pragma once
#include <limits>
#include <type_traits>

#include "kernels/vecmath.h"

namespace pb::PB_ISA {

using math::bits_as, math::select, math::sign_bit, math::sqrt;

// Integer arithmetic wraps around, so it is done unsigned; bool arithmetic is done in int and ends as "!= 0".
template <class T> struct ArithmeticOf { using type = T; };
template <> struct ArithmeticOf<bool> { using type = int; };
template <> struct ArithmeticOf<uint8_t> { using type = uint32_t; };
template <> struct ArithmeticOf<int32_t> { using type = uint32_t; };
template <> struct ArithmeticOf<int64_t> { using type = uint64_t; };
template <class T> using Arithmetic = typename ArithmeticOf<T>::type;

// ---- one operand, element by element
struct Neg {
  template <class T> T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) return -x;
    else return T(Arithmetic<T>(0) - Arithmetic<T>(x));
  }
};
struct Abs {
  template <class T> T operator()(T x) const {
    if constexpr (std::is_same_v<T, float>) return __builtin_fabsf(x);
    else if constexpr (std::is_same_v<T, double>) return __builtin_fabs(x);
    else return x < T(0) ? Neg{}(x) : x;
  }
};
struct Sign {
  template <class T> T operator()(T x) const { return T((x > T(0)) - (x < T(0))); }
};
struct Square {
  template <class T> T operator()(T x) const { return T(Arithmetic<T>(x) * Arithmetic<T>(x)); }
};
struct Reciprocal {
  template <class T> T operator()(T x) const { return T(1) / x; }
};
struct Relu {
  template <class T> T operator()(T x) const { return x < T(0) ? T(0) : x; }  // NaN and -0 stay
};
struct Floor {
  float operator()(float x) const { return __builtin_floorf(x); }
  double operator()(double x) const { return __builtin_floor(x); }
  template <class T> T operator()(T x) const { return x; }
};
struct Ceil {
  float operator()(float x) const { return __builtin_ceilf(x); }
  double operator()(double x) const { return __builtin_ceil(x); }
  template <class T> T operator()(T x) const { return x; }
};
struct Trunc {
  float operator()(float x) const { return __builtin_truncf(x); }
  double operator()(double x) const { return __builtin_trunc(x); }
  template <class T> T operator()(T x) const { return x; }
};
struct Round {  // ties to even
  float operator()(float x) const { return __builtin_rintf(x); }
  double operator()(double x) const { return __builtin_rint(x); }
  template <class T> T operator()(T x) const { return x; }
};
struct Frac {
  template <class T> T operator()(T x) const { return x - Trunc{}(x); }
};
struct IsNan {
  template <class T> bool operator()(T x) const { return x != x; }
};
struct IsInf {
  template <class T> bool operator()(T x) const {
    return std::is_floating_point_v<T> && Abs{}(x) == std::numeric_limits<T>::infinity();
  }
};
struct IsFinite {
  template <class T> bool operator()(T x) const {
    return !std::is_floating_point_v<T> || Abs{}(x) < std::numeric_limits<T>::infinity();
  }
};
struct LogicalNot {
  template <class T> bool operator()(T x) const { return x == T(0); }
};
// Of bools as the bytes that they are: what the compiler makes of bool takes them one by one.
struct TruthNot {
  uint8_t operator()(uint8_t x) const { return x == 0; }
};
struct BitwiseNot {
  template <class T> T operator()(T x) const { return T(~x); }
  bool operator()(bool x) const { return !x; }
};
struct Copy {
  template <class T> T operator()(T x) const { return x; }
};

// ---- two operands, element by element
struct Add {
  template <class T> T operator()(T a, T b) const { return T(Arithmetic<T>(a) + Arithmetic<T>(b)); }
};
struct Sub {
  template <class T> T operator()(T a, T b) const { return T(Arithmetic<T>(a) - Arithmetic<T>(b)); }
};
struct Mul {
  template <class T> T operator()(T a, T b) const { return T(Arithmetic<T>(a) * Arithmetic<T>(b)); }
};
struct Div {
  template <class T> T operator()(T a, T b) const { return a / b; }
};
// NaN in either operand is the result; of two equal values the second.
struct Maximum {
  template <class T> T operator()(T a, T b) const { return (a > b) | (a != a) ? a : b; }
};
struct Minimum {
  template <class T> T operator()(T a, T b) const { return (a < b) | (a != a) ? a : b; }
};
// A number wins over NaN.
struct Fmax {
  template <class T> T operator()(T a, T b) const { return (a >= b) | (b != b) ? a : b; }
};
struct Fmin {
  template <class T> T operator()(T a, T b) const { return (a <= b) | (b != b) ? a : b; }
};
struct Equal {
  template <class T> bool operator()(T a, T b) const { return a == b; }
};
struct NotEqual {
  template <class T> bool operator()(T a, T b) const { return a != b; }
};
struct Less {
  template <class T> bool operator()(T a, T b) const { return a < b; }
};
struct LessEqual {
  template <class T> bool operator()(T a, T b) const { return a <= b; }
};
struct Greater {
  template <class T> bool operator()(T a, T b) const { return a > b; }
};
struct GreaterEqual {
  template <class T> bool operator()(T a, T b) const { return a >= b; }
};
struct LogicalAnd {
  template <class T> bool operator()(T a, T b) const { return (a != T(0)) & (b != T(0)); }
};
struct LogicalOr {
  template <class T> bool operator()(T a, T b) const { return (a != T(0)) | (b != T(0)); }
};
struct LogicalXor {
  template <class T> bool operator()(T a, T b) const { return (a != T(0)) ^ (b != T(0)); }
};
struct BitwiseAnd {
  template <class T> T operator()(T a, T b) const { return T(a & b); }
};
struct BitwiseOr {
  template <class T> T operator()(T a, T b) const { return T(a | b); }
};
struct BitwiseXor {
  template <class T> T operator()(T a, T b) const { return T(a ^ b); }
};
struct ShiftLeft {
  template <class T> T operator()(T a, T b) const {
    constexpr T kBits = sizeof(T) * 8;
    return (b < T(0)) | (b >= kBits) ? T(0) : T(Arithmetic<T>(a) << (b & (kBits - 1)));
  }
};
struct ShiftRight {  // counts out of range leave nothing but the sign
  template <class T> T operator()(T a, T b) const {
    constexpr T kMost = sizeof(T) * 8 - std::is_signed_v<T>;
    if ((b < T(0)) | (b >= kMost)) return std::is_signed_v<T> ? T(a >> kMost) : T(0);
    return T(a >> b);
  }
};
// Integer division: a zero divisor, which callers reject beforehand, gives 0; the smallest over -1 wraps.
template <class T> struct Division { T quotient, rest; };
template <class T> PB_INLINE Division<T> divide_integers(T a, T b) {
  bool minus_one = std::is_signed_v<T> && b == T(-1);
  T divisor = (b == T(0)) | minus_one ? T(1) : b;
  T quotient = T(a / divisor), rest = T(a - quotient * divisor);
  return {b == T(0) ? T(0) : minus_one ? Neg{}(a) : quotient, rest};
}
struct IntFmod {
  template <class T> T operator()(T a, T b) const { return divide_integers(a, b).rest; }
};
struct IntRemainder {
  template <class T> T operator()(T a, T b) const {
    T r = divide_integers(a, b).rest;
    return T(r + ((r != 0) & ((r < 0) != (b < 0)) ? b : T(0)));
  }
};
struct IntFloorDivide {
  template <class T> T operator()(T a, T b) const {
    Division<T> d = divide_integers(a, b);
    return T(d.quotient - ((d.rest != 0) & ((d.rest < 0) != (b < 0))));
  }
};
struct IntPow {
  template <class T> T operator()(T a, T b) const {
    if (b < T(0)) return a == T(1) ? T(1) : a == T(-1) ? T(b % 2 ? -1 : 1) : T(0);
    Arithmetic<T> result = 1, base = Arithmetic<T>(a), left = Arithmetic<T>(b);
    for (; left != 0; left >>= 1, base *= base) {
      if (left & 1) result *= base;
    }
    return T(result);
  }
};

// ---- whole registers
struct Sqrt {
  template <class V> PB_INLINE V operator()(V x) const { return sqrt(x); }
};
struct Rsqrt {
  template <class V> PB_INLINE V operator()(V x) const { return 1 / sqrt(x); }
};
struct Exp {
  template <class V> PB_INLINE V operator()(V x) const { return math::exp(x); }
};
struct Exp2 {
  template <class V> PB_INLINE V operator()(V x) const { return math::exp2(x); }
};
struct Expm1 {
  template <class V> PB_INLINE V operator()(V x) const { return math::expm1(x); }
};
struct Log {
  template <class V> PB_INLINE V operator()(V x) const { return math::log(x); }
};
struct Log2 {
  template <class V> PB_INLINE V operator()(V x) const { return math::log2(x); }
};
struct Log10 {
  template <class V> PB_INLINE V operator()(V x) const { return math::log10(x); }
};
struct Log1p {
  template <class V> PB_INLINE V operator()(V x) const { return math::log1p(x); }
};
struct LogSigmoid {
  template <class V> PB_INLINE V operator()(V x) const { return math::log_sigmoid(x); }
};
struct Sin {
  template <class V> PB_INLINE V operator()(V x) const { return math::sin(x); }
};
struct Cos {
  template <class V> PB_INLINE V operator()(V x) const { return math::cos(x); }
};
struct Tan {
  template <class V> PB_INLINE V operator()(V x) const { return math::tan(x); }
};
struct Asin {
  template <class V> PB_INLINE V operator()(V x) const { return math::asin(x); }
};
struct Acos {
  template <class V> PB_INLINE V operator()(V x) const { return math::acos(x); }
};
struct Atan {
  template <class V> PB_INLINE V operator()(V x) const { return math::atan(x); }
};
struct Sinh {
  template <class V> PB_INLINE V operator()(V x) const { return math::sinh(x); }
};
struct Cosh {
  template <class V> PB_INLINE V operator()(V x) const { return math::cosh(x); }
};
struct Tanh {
  template <class V> PB_INLINE V operator()(V x) const { return math::tanh(x); }
};
struct Sigmoid {
  template <class V> PB_INLINE V operator()(V x) const { return math::sigmoid(x); }
};
struct Erf {
  template <class V> PB_INLINE V operator()(V x) const { return math::erf(x); }
};
struct Erfc {
  template <class V> PB_INLINE V operator()(V x) const { return math::erfc(x); }
};
struct Erfinv {
  template <class V> PB_INLINE V operator()(V x) const { return math::erfinv(x); }
};
struct Lgamma {
  template <class V> PB_INLINE V operator()(V x) const { return math::lgamma(x); }
};
struct Digamma {
  template <class V> PB_INLINE V operator()(V x) const { return math::digamma(x); }
};
struct Pow {
  template <class V> PB_INLINE V operator()(V a, V b) const { return math::pow(a, b); }
};
struct Atan2 {
  template <class V> PB_INLINE V operator()(V a, V b) const { return math::atan2(a, b); }
};
struct Hypot {
  template <class V> PB_INLINE V operator()(V a, V b) const { return math::hypot(a, b); }
};
struct Logaddexp {
  template <class V> PB_INLINE V operator()(V a, V b) const { return math::logaddexp(a, b); }
};
struct Fmod {
  template <class V> PB_INLINE V operator()(V a, V b) const { return math::fmod(a, b); }
};
struct Remainder {
  template <class V> PB_INLINE V operator()(V a, V b) const {
    V r = math::fmod(a, b);
    return select((r != 0) & ((b < 0) ^ (r < 0)), r + b, r);
  }
};
struct FloorDivide {
  template <class V> PB_INLINE V operator()(V a, V b) const {
    V quotient = a / b;
    V r = math::fmod(a, b);
    V q = (a - r) / b;
    q = select((r != 0) & ((b < 0) ^ (r < 0)), q - 1, q);
    V whole = math::floor(q);
    whole = select(q - whole > V{} + 0.5f, whole + 1, whole);
    V zero = bits_as<V>(sign_bit(quotient));
    return select(b == 0, quotient, select(q == 0, zero, whole));
  }
};

}  // namespace pb::PB_ISA
