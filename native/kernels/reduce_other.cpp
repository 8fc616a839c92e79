// Products, truth, counts, variance and norms.
#include <cmath>
#include <limits>
#include <tuple>

#include "kernels/reduce.h"
#include "kernels/reduce_fold.h"

namespace pb::PB_ISA {
namespace {

template <class A> struct Times {
  static A start() { return A{1}; }
  template <class T> static A step(A a, T b) {
    if constexpr (std::is_integral_v<A>) {  // overflow wraps
      return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(static_cast<A>(b)));
    } else {
      return a * b;
    }
  }
  static A combine(A a, A b) { return step(a, b); }
  template <class V> static V join(const V& a, const V& b) { return a * b; }
};

struct Any {
  static uint8_t start() { return 0; }
  template <class T> static uint8_t step(uint8_t a, T b) { return a | static_cast<uint8_t>(b != T{0}); }
  static uint8_t combine(uint8_t a, uint8_t b) { return a | b; }
};

struct All {
  static uint8_t start() { return 1; }
  template <class T> static uint8_t step(uint8_t a, T b) { return a & static_cast<uint8_t>(b != T{0}); }
  static uint8_t combine(uint8_t a, uint8_t b) { return a & b; }
};

struct Nonzeros {
  static int64_t start() { return 0; }
  template <class T> static int64_t step(int64_t a, T b) { return a + static_cast<int64_t>(b != T{0}); }
  static int64_t combine(int64_t a, int64_t b) { return a + b; }
};

// The reduced part of a plan seen from one output: the fastest axis as a run, the others as a walk.
struct Group {
  const ReducePlan& plan;
  int64_t run, step, runs;

  explicit Group(const ReducePlan& p) : plan(p), run(1), step(0), runs(1) {
    if (p.reduced == 0) return;
    run = p.shape[0];
    step = p.in[0];
    runs = PlanWalk(p, 1, p.reduced).count();
  }

  // fn(offset of a run), in torch's order
  template <class F> void each_run(const F& fn) const {
    PlanWalk walk(plan, std::min(1, plan.reduced), plan.reduced);
    walk.seek(0);
    for (int64_t r = 0; r < runs; ++r, walk.next()) fn(walk.in);
  }
  int64_t elements() const { return run * runs; }
};

// fn(offset of the group in the input, offset in the output) for every output, on all threads.
template <class F> void each_output(const ReducePlan& p, int64_t work, const F& fn) {
  const int64_t outputs = PlanWalk(p, p.reduced, p.ndim).count();
  parallel_chunks(outputs, kGrain / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    PlanWalk walk(p, p.reduced, p.ndim);
    walk.seek(begin);
    for (int64_t i = begin; i < end; ++i, walk.next()) fn(walk.in, walk.out);
  });
}

// Whether columns can go side by side: the kept axis is contiguous on both sides, one axis is reduced.
bool is_columns(const ReducePlan& p) {
  return p.reduced == 1 && p.ndim > 1 && p.in[0] != 1 && p.in[1] == 1 && p.out[1] == 1 && p.shape[1] >= 4;
}

// fn(input offset, output offset, width) for blocks of at most 16 columns.
template <class F> void each_column_block(const ReducePlan& p, const F& fn) {
  constexpr int64_t kWidth = 16;
  const int64_t cuts = (p.shape[1] + kWidth - 1) / kWidth;
  const int64_t units = cuts * PlanWalk(p, 2, p.ndim).count();
  parallel_chunks(units, kGrain / (p.shape[0] * kWidth + 1) + 1, [&](int64_t begin, int64_t end) {
    PlanWalk walk(p, 2, p.ndim);
    for (int64_t u = begin; u < end; ++u) {
      walk.seek(u / cuts);
      const int64_t at = u % cuts * kWidth;
      fn(walk.in + at, walk.out + at, std::min(kWidth, p.shape[1] - at));
    }
  });
}

// A mean and the sum of squared deviations from it, of n numbers.
struct Moments {
  double mean = 0, m2 = 0, n = 0;

  void add(double x) {
    n += 1;
    const double delta = x - mean;
    mean += delta / n;
    m2 += delta * (x - mean);
  }
  void add(const Moments& b) {
    if (b.n == 0) return;
    const double delta = b.mean - mean, total = n + b.n, share = b.n / total;
    mean += delta * share;
    m2 += b.m2 + delta * delta * n * share;
    n = total;
  }
  double variance(double correction) const { return m2 / (n > correction ? n - correction : 0.0); }
};

// Mean first, then deviations, in double:
// for float32 input the error is far below one rounding of the result.
Moments block_moments(const float* in, int64_t step, int64_t n) {
  constexpr int kSums = 8;
  double sum[kSums] = {}, square[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int k = 0; k < kSums; ++k) sum[k] += in[(i + k) * step];
  }
  for (; i < n; ++i) sum[0] += in[i * step];
  Moments m;
  m.n = static_cast<double>(n);
  m.mean = (((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]))) / m.n;
  for (i = 0; i + kSums <= n; i += kSums) {
    for (int k = 0; k < kSums; ++k) {
      const double d = in[(i + k) * step] - m.mean;
      square[k] += d * d;
    }
  }
  for (; i < n; ++i) square[0] += (in[i * step] - m.mean) * (in[i * step] - m.mean);
  for (int k = 0; k < kSums; ++k) m.m2 += square[k];
  return m;
}

constexpr int64_t kMomentBlock = 4096;
// From here on float32 takes the fast way, below it Welford's recurrence, which waits for a division at each
// element. Both are done in double: they differ far below one rounding of the result.
constexpr int64_t kLongGroup = 64;
constexpr int64_t kLongestGroup = 32768;  // even where torch's order is asked for

Moments run_moments(const float* in, int64_t step, int64_t n) {
  Moments total;
  for (int64_t at = 0; at < n; at += kMomentBlock) {
    const int64_t count = std::min(kMomentBlock, n - at);
    total.add(step == 1 ? block_moments(in + at, 1, count) : block_moments(in + at * step, step, count));
  }
  return total;
}

// One long run for several threads: the same blocks, added in the same order.
Moments parallel_run_moments(const float* in, int64_t step, int64_t n) {
  const int64_t blocks = (n + kMomentBlock - 1) / kMomentBlock;
  auto parts = std::make_unique<Moments[]>(blocks);
  parallel_chunks(blocks, 8, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      parts[b] =
          block_moments(in + b * kMomentBlock * step, step, std::min(kMomentBlock, n - b * kMomentBlock));
    }
  });
  Moments total;
  for (int64_t b = 0; b < blocks; ++b) total.add(parts[b]);
  return total;
}

template <class T> struct VarOut {
  double correction;
  bool take_sqrt, in_order;
  T* out;
  T* mean;
  void put(int64_t at, const Moments& m) const {
    const double v = m.variance(correction);
    out[at] = static_cast<T>(take_sqrt ? std::sqrt(v) : v);
    if (mean) mean[at] = static_cast<T>(m.mean);
  }
};

// Welford's recurrence down several columns at once; each column sees torch's order of operations.
template <class T> void var_columns(const ReducePlan& p, const T* in, const VarOut<T>& to) {
  each_column_block(p, [&](int64_t in_at, int64_t out_at, int64_t width) {
    double mean[16] = {}, m2[16] = {}, x[16] = {};
    for (int64_t i = 0; i < p.shape[0]; ++i) {
      const T* row = in + in_at + i * p.in[0];
      const double n = static_cast<double>(i + 1);
      for (int64_t k = 0; k < width; ++k) x[k] = row[k];
      for (int k = 0; k < 16; ++k) {
        const double delta = x[k] - mean[k];
        mean[k] += delta / n;
        m2[k] += delta * (x[k] - mean[k]);
      }
    }
    for (int64_t k = 0; k < width; ++k) {
      to.put(out_at + k, Moments{mean[k], m2[k], static_cast<double>(p.shape[0])});
    }
  });
}

// Mean first, then deviations, down several columns at once, block by block.
void moment_columns(const ReducePlan& p, const float* in, const VarOut<float>& to) {
  constexpr int kWidth = 16;
  constexpr int64_t kRows = 128;  // of 64 bytes: read twice from the first-level cache
  each_column_block(p, [&](int64_t in_at, int64_t out_at, int64_t width) {
    Moments total[kWidth];
    double x[kRows][kWidth] = {};
    for (int64_t at = 0; at < p.shape[0]; at += kRows) {
      const int64_t rows = std::min(kRows, p.shape[0] - at);
      double mean[kWidth] = {}, square[kWidth] = {};
      for (int64_t i = 0; i < rows; ++i) {
        const float* row = in + in_at + (at + i) * p.in[0];
        if (width == kWidth) std::copy_n(row, kWidth, x[i]);
        else std::copy_n(row, width, x[i]);
        for (int k = 0; k < kWidth; ++k) mean[k] += x[i][k];
      }
      for (int k = 0; k < kWidth; ++k) mean[k] /= static_cast<double>(rows);
      for (int64_t i = 0; i < rows; ++i) {
        for (int k = 0; k < kWidth; ++k) square[k] += (x[i][k] - mean[k]) * (x[i][k] - mean[k]);
      }
      for (int k = 0; k < kWidth; ++k) total[k].add(Moments{mean[k], square[k], static_cast<double>(rows)});
    }
    for (int64_t k = 0; k < width; ++k) to.put(out_at + k, total[k]);
  });
}

// All elements in one group, in float64: torch subtracts the finished mean and adds up the squares in order.
void var_of_all(const ReducePlan& p, const View& view, const double* in, const VarOut<double>& to) {
  Moments m;
  reduce_kernels().sum(view, ~uint64_t{0}, &m.mean);
  const Group group(p);
  m.n = static_cast<double>(group.elements());
  m.mean /= m.n;
  group.each_run([&](int64_t at) {
    for (int64_t i = 0; i < group.run; ++i) {
      const double d = in[at + i * group.step] - m.mean;
      m.m2 += d * d;
    }
  });
  to.put(0, m);
}

// Up to eight groups side by side, so that their divisions overlap; each keeps torch's order.
constexpr int kBatch = 8;
struct BatchPlaces {
  int64_t in[kBatch], out[kBatch];
  int count;
};

template <class F> void each_batch(const ReducePlan& p, int64_t work, const F& fn) {
  const int64_t outputs = PlanWalk(p, p.reduced, p.ndim).count();
  const int64_t batches = (outputs + kBatch - 1) / kBatch;
  parallel_chunks(batches, kGrain / (work * kBatch + 1) + 1, [&](int64_t begin, int64_t end) {
    PlanWalk walk(p, p.reduced, p.ndim);
    walk.seek(begin * kBatch);
    for (int64_t b = begin; b < end; ++b) {
      BatchPlaces at = {};
      at.count = static_cast<int>(std::min<int64_t>(kBatch, outputs - b * kBatch));
      for (int k = 0; k < at.count; ++k, walk.next()) {
        at.in[k] = walk.in;
        at.out[k] = walk.out;
      }
      for (int k = at.count; k < kBatch; ++k) at.in[k] = at.in[0];
      fn(at);
    }
  });
}

template <class T>
void var_batch(const Group& group, const BatchPlaces& at, const T* in, const VarOut<T>& to) {
  double mean[kBatch] = {}, m2[kBatch] = {}, x[kBatch], n = 0;
  const T* base[kBatch];
  for (int k = 0; k < kBatch; ++k) base[k] = in + at.in[k];
  group.each_run([&](int64_t run) {
    for (int64_t i = 0; i < group.run; ++i) {
      for (int k = 0; k < kBatch; ++k) x[k] = base[k][run + i * group.step];
      n += 1;
      for (int k = 0; k < kBatch; ++k) {
        const double delta = x[k] - mean[k];
        mean[k] += delta / n;
        m2[k] += delta * (x[k] - mean[k]);
      }
    }
  });
  for (int k = 0; k < at.count; ++k) to.put(at.out[k], Moments{mean[k], m2[k], n});
}

template <class T> void var_plan(const ReducePlan& p, const View& view, const T* in, const VarOut<T>& to) {
  const Group group(p);
  if constexpr (std::is_same_v<T, float>) {
    if (is_columns(p) && !to.in_order && group.elements() >= kLongGroup) return moment_columns(p, in, to);
  } else {
    if (p.reduced == p.ndim && !to.mean) return var_of_all(p, view, in, to);
  }
  if (is_columns(p)) return var_columns(p, in, to);
  if (std::is_same_v<T, double> || group.elements() < (to.in_order ? kLongestGroup : kLongGroup)) {
    if (p.reduced < p.ndim) {
      each_batch(p, group.elements() * 4, [&](const BatchPlaces& at) { var_batch(group, at, in, to); });
      return;
    }
    Moments m;
    group.each_run([&](int64_t at) {
      for (int64_t i = 0; i < group.run; ++i) m.add(in[at + i * group.step]);
    });
    return to.put(0, m);
  }
  if constexpr (std::is_same_v<T, float>) {
    const bool single = p.reduced == p.ndim;
    each_output(p, group.elements(), [&](int64_t in_at, int64_t out_at) {
      Moments m;
      group.each_run([&](int64_t at) {
        const float* run = in + in_at + at;
        m.add(single ? parallel_run_moments(run, group.step, group.run)
                     : run_moments(run, group.step, group.run));
      });
      to.put(out_at, m);
    });
  }
}

// Norms: per output one running value of the input's own type, in torch's order.
template <class T> struct NormZero {
  T step(T a, T x) const { return a + (x == T{0} ? T{0} : T{1}); }
  T root(T a) const { return a; }
};
template <class T> struct NormOne {
  T step(T a, T x) const { return a + std::fabs(x); }
  T root(T a) const { return a; }
};
template <class T> struct NormTwo {
  T step(T a, T x) const { return a + x * x; }
  T root(T a) const { return std::sqrt(a); }
};
template <class T> struct NormP {
  T p;
  T step(T a, T x) const { return a + std::pow(std::fabs(x), p); }
  T root(T a) const { return std::pow(a, T{1} / p); }
};
template <class T, bool kMax> struct NormExtremum {
  T step(T a, T x) const {
    const T m = std::fabs(x);
    if (a != a) return a;
    return m != m || (kMax ? m > a : m < a) ? m : a;
  }
  T root(T a) const { return a; }
};

template <class T, class Op>
void norm_plan(const ReducePlan& p, const T* in, T* out, const Op& op, T start = T{0}) {
  if (is_columns(p)) {
    each_column_block(p, [&](int64_t in_at, int64_t out_at, int64_t width) {
      T value[16];
      std::fill_n(value, 16, start);
      for (int64_t i = 0; i < p.shape[0]; ++i) {
        const T* row = in + in_at + i * p.in[0];
        if (width == 16) {
          for (int k = 0; k < 16; ++k) value[k] = op.step(value[k], row[k]);
        } else {
          for (int64_t k = 0; k < width; ++k) value[k] = op.step(value[k], row[k]);
        }
      }
      for (int64_t k = 0; k < width; ++k) out[out_at + k] = op.root(value[k]);
    });
    return;
  }
  const Group group(p);
  each_batch(p, group.elements(), [&](const BatchPlaces& at) {
    T value[kBatch];
    std::fill_n(value, kBatch, start);
    group.each_run([&](int64_t run) {
      if (at.count == 1) {
        for (int64_t i = 0; i < group.run; ++i)
          value[0] = op.step(value[0], in[at.in[0] + run + i * group.step]);
        return;
      }
      for (int64_t i = 0; i < group.run; ++i) {
        for (int k = 0; k < kBatch; ++k) value[k] = op.step(value[k], in[at.in[k] + run + i * group.step]);
      }
    });
    for (int k = 0; k < at.count; ++k) out[at.out[k]] = op.root(value[k]);
  });
}

// The 2-norm along contiguous memory runs on one vector.
template <class T> void norm_two_rows(const ReducePlan& p, const T* in, T* out) {
  const int64_t n = p.shape[0], whole = n - n % kWide<T>;
  each_output(p, n, [&](int64_t in_at, int64_t out_at) {
    const T* row = in + in_at;
    Wide<T> sum{};
    for (int64_t i = 0; i < whole; i += kWide<T>) {
      const Wide<T> x = load_wide(row + i);
      sum += x * x;
    }
    T value = sum[0];
    for (int k = 1; k < kWide<T>; ++k) value += sum[k];
    // torch's build rounds the squares of a group of four in the rest and fuses the others.
    int64_t i = whole;
    for (const int64_t four = n - i >= 4 ? i + 4 : i; i < four; ++i) value += row[i] * row[i];
    for (; i < n; ++i) value = std::fma(row[i], row[i], value);
    out[out_at] = std::sqrt(value);
  });
}

template <class T> void norm_any(const View& in, uint64_t axes, double order, T* out) {
  if (view_elements(in) == 0) {
    std::fill_n(out, reduced_elements(in, axes), order < 0 ? std::numeric_limits<T>::infinity() : T{0});
    return;
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  ReducePlan p;
  plan_reduction(in, axes, p);
  const T* from = static_cast<const T*>(in.data);
  int64_t group = 1;
  for (int d = 0; d < p.reduced; ++d) group *= p.shape[d];
  if (order == 0) return norm_plan(p, from, out, NormZero<T>{});
  if (order == 1 || group == 1)
    return norm_plan(p, from, out, NormOne<T>{});  // one element: its absolute value
  if (order == kInf) return norm_plan(p, from, out, NormExtremum<T, true>{});
  if (order == -kInf)
    return norm_plan(p, from, out, NormExtremum<T, false>{}, std::numeric_limits<T>::infinity());
  if (order != 2) return norm_plan(p, from, out, NormP<T>{static_cast<T>(order)});
  if (p.reduced == 1 && p.in[0] == 1) return norm_two_rows(p, from, out);
  norm_plan(p, from, out, NormTwo<T>{});
}

}  // namespace

bool reduce_prod(const View& in, uint64_t axes, void* out) {
  return visit_dtype(in.dtype, [&]<class T>() {
    constexpr bool kFloat = std::is_floating_point_v<T>;
    using A = std::conditional_t<kFloat, T, int64_t>;
    fold<T, A, Times<A>, !kFloat>(in, axes, static_cast<A*>(out));
  });
}

bool reduce_any(const View& in, uint64_t axes, bool* out) {
  return visit_dtype(
      in.dtype, [&]<class T>() { fold<T, uint8_t, Any, true>(in, axes, reinterpret_cast<uint8_t*>(out)); });
}

bool reduce_all(const View& in, uint64_t axes, bool* out) {
  return visit_dtype(
      in.dtype, [&]<class T>() { fold<T, uint8_t, All, true>(in, axes, reinterpret_cast<uint8_t*>(out)); });
}

bool reduce_count_nonzero(const View& in, uint64_t axes, int64_t* out) {
  return visit_dtype(in.dtype, [&]<class T>() { fold<T, int64_t, Nonzeros, true>(in, axes, out); });
}

bool reduce_var(const View& in, uint64_t axes, double correction, bool take_sqrt, bool in_order, void* out,
                void* mean) {
  const auto run = [&]<class T>() {
    const VarOut<T> to{correction, take_sqrt, in_order, static_cast<T*>(out), static_cast<T*>(mean)};
    if (view_elements(in) == 0) {
      const int64_t outputs = reduced_elements(in, axes);
      for (int64_t i = 0; i < outputs; ++i) {
        to.out[i] = std::numeric_limits<T>::quiet_NaN();
        if (mean) to.mean[i] = std::numeric_limits<T>::quiet_NaN();
      }
      return;
    }
    ReducePlan p;
    plan_reduction(in, axes, p);
    var_plan<T>(p, in, static_cast<const T*>(in.data), to);
  };
  if (in.dtype == DType::Float32) return run.template operator()<float>(), true;
  if (in.dtype == DType::Float64) return run.template operator()<double>(), true;
  return false;
}

bool reduce_norm(const View& in, uint64_t axes, double p, void* out) {
  if (in.dtype == DType::Float32) return norm_any(in, axes, p, static_cast<float*>(out)), true;
  if (in.dtype == DType::Float64) return norm_any(in, axes, p, static_cast<double*>(out)), true;
  return false;
}

}  // namespace pb::PB_ISA
