// Softmax and its relatives. A row is read from memory once and stays in the first-level cache after that.
// Sums keep torch's lanes: one vector along a row, one number for each column where the axis is not the last.
#include "kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernels/reduce.h"
#include "kernels/simd.h"
#include "kernels/vecmath.h"
#include "kernels/wide.h"
#include "runtime/threads.h"

namespace pb::PB_ISA {
namespace {

constexpr int64_t kColumns = 64;  // columns worked on at once when the axis is not the last
constexpr int64_t kRowGrain = 8192;  // elements worth a task

template <class T> constexpr T kInf = std::numeric_limits<T>::infinity();

template <class T> inline Wide<T> spread(T x) { return Wide<T>{} + x; }

// exp(x) for x <= 0 or NaN within 1.05 ULP, at half the cost of the general one. kFar: x may lie below -87,
// where the result is subnormal or 0; otherwise it must not.
template <bool kFar> inline Wide<float> exp_falling(Wide<float> x) {
  constexpr float kMagic = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  if constexpr (kFar) x = x < -110.f ? spread(-110.f) : x;
  const Wide<float> shifted = wide_fma(x, spread(0x1.715476p0f), spread(kMagic));
  const Wide<float> n = shifted - kMagic;
  Wide<float> r = wide_fma(n, spread(-0x1.62e4p-1f), x);  // 15 bits: n times this is exact
  r = wide_fma(n, spread(-0x1.7f7d1cp-20f), r);
  Wide<float> p = wide_fma(r, spread(0x1.6d110ap-10f), spread(0x1.120b6ep-7f));
  p = wide_fma(p, r, spread(0x1.55551ap-5f));
  p = wide_fma(p, r, spread(0x1.5554dcp-3f));
  p = wide_fma(p, r, spread(0.5f));
  const Wide<float> y = 1.f + wide_fma(p, r * r, r);
  // Lanes behind the end of a row may hold anything: their sums wrap around.
  if constexpr (!kFar) return y * (Wide<float>)(((WideWord)shifted << 23) + (127u << 23));
  const WideInt whole = (WideInt)shifted - 0x4b400000, half = whole >> 1;
  return y * (Wide<float>)((half + 127) << 23) * (Wide<float>)((whole - half + 127) << 23);
}

template <class T, class F> inline Wide<T> by_register(const Wide<T>& x, F f) {
  constexpr int kParts = 32 / math::kVectorBytes;
  math::Vec<T> part[kParts];
  std::memcpy(part, &x, sizeof(x));
  for (int k = 0; k < kParts; ++k) part[k] = f(part[k]);
  Wide<T> y;
  std::memcpy(&y, part, sizeof(y));
  return y;
}

template <bool kFar> inline Wide<double> exp_falling(const Wide<double>& x) {
  return by_register<double>(x, [](math::Vec<double> v) { return math::exp(v); });
}

template <class T> inline Wide<T> log_wide(const Wide<T>& x) {
  return by_register<T>(x, [](math::Vec<T> v) { return math::log(v); });
}

template <class T> inline Wide<T> exp_any(const Wide<T>& x) {
  return by_register<T>(x, [](math::Vec<T> v) { return math::exp(v); });
}

template <class T> inline T log_one(T x) { return log_wide<T>(spread(x))[0]; }

// The first n lanes, n less than all; no memory behind them is touched. The rest is 0.
#if defined(__AVX2__) && defined(__FMA__)  // where simd.h's registers are as wide
template <class T> inline Wide<T> load_some(const T* p, int64_t n) {
  return Wide<T>(load_part(p, static_cast<int>(n)));
}
template <class T> inline void store_some(T* p, const Wide<T>& v, int64_t n) {
  store_part(p, Vec<T>(v), static_cast<int>(n));
}
#else
template <class T> inline Wide<T> load_some(const T* p, int64_t n) {
  T lanes[kWide<T>] = {};
  for (int64_t k = 0; k < n; ++k) lanes[k] = p[k];
  return load_wide(lanes);
}

template <class T> inline void store_some(T* p, const Wide<T>& v, int64_t n) {
  T lanes[kWide<T>];
  store_wide(lanes, v);
  for (int64_t k = 0; k < n; ++k) p[k] = lanes[k];
}
#endif

// The first `n` lanes of b over a.
template <class T> inline Wide<T> first_lanes(const Wide<T>& a, const Wide<T>& b, int64_t n) {
  Wide<T> y = a;
  for (int64_t k = 0; k < n; ++k) y[k] = b[k];
  return y;
}

// body(index, count, whole): whole vectors, then the rest.
template <class T, class F> inline void each_vector(int64_t n, const F& body) {
  int64_t i = 0;
  for (; i + kWide<T> <= n; i += kWide<T>) body(i, kWide<T>, std::true_type{});
  if (i < n) body(i, n - i, std::false_type{});
}

template <class T, class Whole> inline Wide<T> take(const T* p, int64_t count, Whole) {
  if constexpr (Whole::value) return load_wide(p);
  return load_some(p, count);
}

template <class T, class Whole> inline void put(T* p, const Wide<T>& v, int64_t count, Whole) {
  if constexpr (Whole::value) return store_wide(p, v);
  store_some(p, v, count);
}

// out[i] = f(in[i]...) over whole vectors and a padded rest.
template <class T, class F> inline void map_row(int64_t n, T* out, const T* in, const F& f) {
  each_vector<T>(n, [&](int64_t i, int64_t count, auto whole) {
    put(out + i, f(take(in + i, count, whole)), count, whole);
  });
}
template <class T, class F> inline void map_row(int64_t n, T* out, const T* a, const T* b, const F& f) {
  each_vector<T>(n, [&](int64_t i, int64_t count, auto whole) {
    put(out + i, f(take(a + i, count, whole), take(b + i, count, whole)), count, whole);
  });
}

template <class T> T fold_lanes(const Wide<T>& v, int64_t used) {
  if constexpr (sizeof(T) == 4) {
    if (used == 8) return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  }
  T sum = v[0];
  for (int64_t k = 1; k < used; ++k) sum += v[k];
  return sum;
}

// One vector of running sums; the rest of a row joins its first lanes. value(i, count, whole) gives the
// terms, join(sum, i, count) adds the last ones.
template <class T, class F, class J> inline T sum_row(int64_t n, const F& value, const J& join) {
  constexpr int64_t kLane = kWide<T>;
  if (n < kLane) return fold_lanes<T>(value(0, n, std::false_type{}), n);
  Wide<T> sum = value(0, kLane, std::true_type{});
  int64_t i = kLane;
  for (; i + kLane <= n; i += kLane) sum += value(i, kLane, std::true_type{});
  if (i < n) sum = first_lanes<T>(sum, join(sum, i, n - i), n - i);
  return fold_lanes<T>(sum, kLane);
}

template <class T, class F> inline T sum_row(int64_t n, const F& value) {
  return sum_row<T>(n, value, [&](const Wide<T>& sum, int64_t i, int64_t count) {
    return sum + value(i, count, std::false_type{});
  });
}

template <class T> struct Range { T low, high; };

template <class T> inline Wide<T> wide_max(const Wide<T>& a, const Wide<T>& b) { return a > b ? a : b; }
template <class T> inline Wide<T> wide_min(const Wide<T>& a, const Wide<T>& b) { return a < b ? a : b; }

// Smallest and largest, passing over NaN: a NaN spoils the sum of a row anyway.
template <class T> Range<T> range_of(const T* in, int64_t n) {
  constexpr int64_t kLane = kWide<T>;
  Wide<T> high[2] = {spread(-kInf<T>), spread(-kInf<T>)}, low[2] = {spread(kInf<T>), spread(kInf<T>)};
  int64_t i = 0;
  for (; i + 2 * kLane <= n; i += 2 * kLane) {
    for (int k = 0; k < 2; ++k) {
      const Wide<T> x = load_wide(in + i + k * kLane);
      high[k] = wide_max<T>(x, high[k]);
      low[k] = wide_min<T>(x, low[k]);
    }
  }
  high[0] = wide_max<T>(high[0], high[1]);
  low[0] = wide_min<T>(low[0], low[1]);
  Range<T> range{low[0][0], high[0][0]};
  for (int64_t j = 1; j < kLane; ++j) {
    range.high = std::max<T>(range.high, high[0][j]);
    range.low = std::min<T>(range.low, low[0][j]);
  }
  for (; i < n; ++i) {
    range.high = in[i] > range.high ? in[i] : range.high;
    range.low = in[i] < range.low ? in[i] : range.low;
  }
  return range;
}

// Whether exp(low - high) may be subnormal.
template <class T> bool is_far(const Range<T>& r) { return !(r.low - r.high > T{-87}); }

template <class T, bool kFar> void softmax_row(const T* in, T* out, int64_t n, T high) {
  const T sum = sum_row<T>(n, [&](int64_t i, int64_t count, auto whole) {
    const Wide<T> e = exp_falling<kFar>(take(in + i, count, whole) - high);
    put(out + i, e, count, whole);
    return e;
  });
  const T scale = 1 / sum;
  map_row(n, out, out, [&](const Wide<T>& e) { return e * scale; });
}

template <class T, bool kFar> T exp_sum_row(const T* in, int64_t n, T high) {
  return sum_row<T>(n, [&](int64_t i, int64_t count, auto whole) {
    return exp_falling<kFar>(take(in + i, count, whole) - high);
  });
}

template <class T> void softmax_last(const T* in, T* out, int64_t n) {
  const Range<T> r = range_of(in, n);
  is_far(r) ? softmax_row<T, true>(in, out, n, r.high) : softmax_row<T, false>(in, out, n, r.high);
}

template <class T> void log_softmax_last(const T* in, T* out, int64_t n) {
  const Range<T> r = range_of(in, n);
  const T sum = is_far(r) ? exp_sum_row<T, true>(in, n, r.high) : exp_sum_row<T, false>(in, n, r.high);
  const T log_sum = log_one(sum);
  map_row(n, out, in, [&](const Wide<T>& x) { return x - r.high - log_sum; });
}

template <class T> void softmax_backward_last(const T* grad, const T* y, T* out, int64_t n) {
  const auto product = [&](int64_t i, int64_t count, auto whole) {
    return take(grad + i, count, whole) * take(y + i, count, whole);
  };
  const T sum = sum_row<T>(n, product, [&](const Wide<T>& s, int64_t i, int64_t count) {
    // torch's build fuses the rest of a float32 row, and nothing else here
    if constexpr (sizeof(T) == 4) return wide_fma(load_some(grad + i, count), load_some(y + i, count), s);
    return s + product(i, count, std::false_type{});
  });
  map_row(n, out, grad, y, [&](const Wide<T>& g, const Wide<T>& v) { return (g - sum) * v; });
}

template <class T> void log_softmax_backward_last(const T* grad, const T* y, T* out, int64_t n) {
  const T sum =
      sum_row<T>(n, [&](int64_t i, int64_t count, auto whole) { return take(grad + i, count, whole); });
  map_row(n, out, grad, y, [&](const Wide<T>& g, const Wide<T>& v) {
    return wide_fma(-exp_falling<true>(v), spread(sum), g);
  });
}

// Up to kColumns columns, n rows `step` apart. column(j, count, whole) is called for each vector of them.
template <class T, bool kLog>
void softmax_columns(const T* in, T* out, int64_t n, int64_t step, int64_t width) {
  each_vector<T>(width, [&](int64_t j, int64_t count, auto whole) {
    const T* from = in + j;
    T* to = out + j;
    Wide<T> high = spread(-kInf<T>), sum = {};
    for (int64_t i = 0; i < n; ++i) high = wide_max<T>(take(from + i * step, count, whole), high);
    for (int64_t i = 0; i < n; ++i) {
      const Wide<T> e = exp_falling<true>(take(from + i * step, count, whole) - high);
      sum += e;
      if constexpr (!kLog) put(to + i * step, e, count, whole);
    }
    if constexpr (kLog) {
      const Wide<T> log_sum = log_wide<T>(sum);
      for (int64_t i = 0; i < n; ++i) {
        put(to + i * step, take(from + i * step, count, whole) - high - log_sum, count, whole);
      }
    } else {
      for (int64_t i = 0; i < n; ++i)
        put(to + i * step, take(to + i * step, count, whole) / sum, count, whole);
    }
  });
}

template <class T, bool kLog>
void backward_columns(const T* grad, const T* y, T* out, int64_t n, int64_t step, int64_t width) {
  each_vector<T>(width, [&](int64_t j, int64_t count, auto whole) {
    Wide<T> sum = {};
    for (int64_t i = 0; i < n; ++i) {
      const Wide<T> g = take(grad + j + i * step, count, whole);
      if constexpr (kLog) {
        sum += g;
      } else {
        sum = wide_fma(g, take(y + j + i * step, count, whole), sum);
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      const Wide<T> g = take(grad + j + i * step, count, whole), v = take(y + j + i * step, count, whole);
      put(out + j + i * step, kLog ? wide_fma(-exp_falling<true>(v), sum, g) : v * (g - sum), count, whole);
    }
  });
}

// row(offset) for every row, or columns(offset, width) for every block of columns, on all threads.
template <class R, class C> void each_row(const RowShape& s, const R& row, const C& columns) {
  if (s.outer == 0 || s.n == 0 || s.inner == 0) return;
  if (s.inner == 1) {
    parallel_chunks(s.outer, kRowGrain / s.n + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) row(i * s.n);
    });
    return;
  }
  const int64_t blocks = (s.inner + kColumns - 1) / kColumns;
  const int64_t width = std::min(s.inner, kColumns);
  parallel_chunks(s.outer * blocks, kRowGrain / (s.n * width) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i % blocks * kColumns;
      columns(i / blocks * s.n * s.inner + at, std::min(kColumns, s.inner - at));
    }
  });
}

template <class F> bool visit_float(DType dtype, const F& f) {
  if (dtype == DType::Float32) return f.template operator()<float>(), true;
  if (dtype == DType::Float64) return f.template operator()<double>(), true;
  return false;
}

template <bool kLog> bool forward(DType dtype, const void* in, void* out, RowShape s) {
  return visit_float(dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in);
    T* to = static_cast<T*>(out);
    each_row(
        s,
        [&](int64_t at) {
          kLog ? log_softmax_last(from + at, to + at, s.n) : softmax_last(from + at, to + at, s.n);
        },
        [&](int64_t at, int64_t width) {
          softmax_columns<T, kLog>(from + at, to + at, s.n, s.inner, width);
        });
  });
}

template <bool kLog> bool backward(DType dtype, const void* grad, const void* y, void* out, RowShape s) {
  return visit_float(dtype, [&]<class T>() {
    const T* g = static_cast<const T*>(grad);
    const T* v = static_cast<const T*>(y);
    T* to = static_cast<T*>(out);
    each_row(
        s,
        [&](int64_t at) {
          kLog ? log_softmax_backward_last(g + at, v + at, to + at, s.n)
               : softmax_backward_last(g + at, v + at, to + at, s.n);
        },
        [&](int64_t at, int64_t width) {
          backward_columns<T, kLog>(g + at, v + at, to + at, s.n, s.inner, width);
        });
  });
}

template <class T> inline T finite_or_zero(T x) { return std::isinf(x) ? T{0} : x; }

// exp(x - high) of one row, where an infinite maximum counts as 0. Returns that maximum.
template <class T> T exp_row(const T* in, T* out, int64_t n) {
  const Range<T> r = range_of(in, n);
  const T high = finite_or_zero(r.high);
  if (r.high == kInf<T>) {
    map_row(n, out, in, [&](const Wide<T>& x) { return exp_any<T>(x - high); });
  } else if (is_far(r)) {
    map_row(n, out, in, [&](const Wide<T>& x) { return exp_falling<true>(x - high); });
  } else {
    map_row(n, out, in, [&](const Wide<T>& x) { return exp_falling<false>(x - high); });
  }
  return high;
}

// The same for `inner` neighbouring columns; high holds their maxima.
template <class T> void exp_columns(const T* in, T* out, T* high, int64_t n, int64_t inner) {
  std::fill_n(high, inner, -kInf<T>);
  for (int64_t i = 0; i < n; ++i) {
    map_row(inner, high, in + i * inner, high,
            [](const Wide<T>& x, const Wide<T>& m) { return wide_max<T>(x, m); });
  }
  bool infinite = false;
  for (int64_t j = 0; j < inner; ++j) {
    infinite |= high[j] == kInf<T>;
    high[j] = finite_or_zero(high[j]);
  }
  for (int64_t i = 0; i < n; ++i) {
    map_row(inner, out + i * inner, in + i * inner, high, [&](const Wide<T>& x, const Wide<T>& m) {
      return infinite ? exp_any<T>(x - m) : exp_falling<true>(x - m);
    });
  }
}

// Some outer groups: exponentials into a buffer, then their sums in the order of ReduceKernels::sum.
template <class T> void logsumexp_block(const T* in, T* out, int64_t groups, const RowShape& s, T* buffer) {
  const int64_t size = s.n * s.inner, outputs = groups * s.inner;
  const int64_t shape[3] = {groups, s.n, s.inner}, strides[3] = {size, s.inner, 1};
  T* high = buffer + groups * size;
  for (int64_t g = 0; g < groups; ++g) {
    if (s.inner == 1) {
      high[g] = exp_row(in + g * size, buffer + g * size, s.n);
    } else {
      exp_columns(in + g * size, buffer + g * size, high + g * s.inner, s.n, s.inner);
    }
  }
  reduce_kernels().sum(View{buffer, dtype_of<T>(), 3, shape, strides}, 2, out);
  map_row(outputs, out, out, high, [](const Wide<T>& x, const Wide<T>& m) { return log_wide<T>(x) + m; });
}

bool logsumexp(DType dtype, const void* in, void* out, RowShape s) {
  return visit_float(dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in);
    T* to = static_cast<T*>(out);
    if (s.n == 0) return void(std::fill_n(to, s.outer * s.inner, -kInf<T>));
    if (s.outer == 0 || s.inner == 0) return;
    const int64_t size = s.n * s.inner, block = std::max<int64_t>(1, kRowGrain / size);
    parallel_chunks(s.outer, block, [&](int64_t begin, int64_t end) {
      auto buffer = std::make_unique_for_overwrite<T[]>(block * (size + s.inner));
      for (int64_t g = begin; g < end; g += block) {
        logsumexp_block(from + g * size, to + g * s.inner, std::min(block, end - g), s, buffer.get());
      }
    });
  });
}

}  // namespace

const RowKernels& row_table() {
  static constexpr RowKernels kTable = {forward<false>, forward<true>, backward<false>, backward<true>,
                                        logsumexp};
  return kTable;
}

}  // namespace pb::PB_ISA
