#include "kernels/scan.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/lines.h"

namespace pb {
namespace {

template <class T> bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return x != x;
  return false;
}

// Op(running value, element); the running value is a double for floats, an unsigned 64-bit number that may
// wrap for the rest.
template <class Op> bool accumulate(const View& in, int axis, void* out, int first, const Op& op) {
  return visit_dtype(in.dtype, [&]<class T>() {
    constexpr bool kFloat = std::is_floating_point_v<T>;
    using Running = std::conditional_t<kFloat, double, uint64_t>;
    using Out = std::conditional_t<kFloat, T, int64_t>;
    const T* from = static_cast<const T*>(in.data);
    Out* to = static_cast<Out*>(out);
    if (in.ndim == 0) return void(*to = static_cast<Out>(*from));  // keeps the sign of -0, as torch does
    const Lines lines(in, axis);
    lines.each(lines.length, lines.length * 4, [&](int64_t in_at, int64_t out_at) {
      Running value = static_cast<Running>(first);
      const T* x = from + in_at;
      Out* y = to + out_at;
      for (int64_t i = 0; i < lines.length; ++i) {
        value = op(value, static_cast<Running>(x[i * lines.step]));
        y[i * lines.inner] = static_cast<Out>(value);
      }
    });
  });
}

template <bool kMax> bool running_extremum(const View& in, int axis, void* values, int64_t* indices) {
  return visit_dtype(in.dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in.data);
    T* to = static_cast<T*>(values);
    const Lines lines(in, axis);
    lines.each(lines.length, lines.length * 4, [&](int64_t in_at, int64_t out_at) {
      const T* x = from + in_at;
      T best{};
      int64_t at = 0;
      for (int64_t i = 0; i < lines.length; ++i) {
        const T here = x[i * lines.step];
        if (i == 0 || is_nan(here) || (!is_nan(best) && (kMax ? here >= best : here <= best))) {
          best = here;
          at = i;
        }
        to[out_at + i * lines.inner] = best;
        indices[out_at + i * lines.inner] = at;
      }
    });
  });
}

// NaN if either is; exact where both are the same infinity.
double log_add_exp(double a, double b) {
  const double low = is_nan(b) ? b : std::fmin(a, b), high = is_nan(b) ? b : std::fmax(a, b);
  if (is_nan(a)) return a;
  if (low == high && std::isinf(low)) return a;
  return std::log1p(std::exp(low - high)) + high;
}

}  // namespace

bool cumsum(const View& in, int axis, void* out) {
  return accumulate(in, axis, out, 0, [](auto a, auto b) { return a + b; });
}

bool cumprod(const View& in, int axis, void* out) {
  return accumulate(in, axis, out, 1, [](auto a, auto b) { return a * b; });
}

bool cummax(const View& in, int axis, void* values, int64_t* indices) {
  return running_extremum<true>(in, axis, values, indices);
}

bool cummin(const View& in, int axis, void* values, int64_t* indices) {
  return running_extremum<false>(in, axis, values, indices);
}

bool logcumsumexp(const View& in, int axis, void* out) {
  if (!is_float(in.dtype)) return false;
  return visit_dtype(in.dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in.data);
    T* to = static_cast<T*>(out);
    if (in.ndim == 0) return void(*to = *from);
    const Lines lines(in, axis);
    lines.each(lines.length, lines.length * 32, [&](int64_t in_at, int64_t out_at) {
      double value = -std::numeric_limits<double>::infinity();
      for (int64_t i = 0; i < lines.length; ++i) {
        value = log_add_exp(static_cast<double>(from[in_at + i * lines.step]), value);
        to[out_at + i * lines.inner] = static_cast<T>(value);
      }
    });
  });
}

bool recurrence(const View& a, const View& b, int axis, bool backwards, bool shifted, void* out) {
  if (!is_float(a.dtype)) return false;
  return visit_dtype(a.dtype, [&]<class T>() {
    const T *factor = static_cast<const T*>(a.data), *term = static_cast<const T*>(b.data);
    T* to = static_cast<T*>(out);
    if (a.ndim == 0) return void(*to = *term);
    const Lines lines(a, axis);
    const int64_t step = backwards ? -lines.inner : lines.inner;
    const int64_t begin = backwards ? (lines.length - 1) * lines.inner : 0;
    lines.each(lines.length, lines.length * 4, [&](int64_t, int64_t line_at) {
      int64_t at = line_at + begin;
      double value = static_cast<double>(term[at]);
      to[at] = static_cast<T>(value);
      for (int64_t i = 1; i < lines.length; ++i, at += step) {
        const double x = static_cast<double>(factor[shifted ? at : at + step]);
        value = static_cast<double>(term[at + step]) + x * value;
        to[at + step] = static_cast<T>(value);
      }
    });
  });
}

}  // namespace pb
