// Largest and smallest: values, and the place of the first one. NaN is both larger and smaller than anything.
#include <cmath>
#include <limits>

#include "kernels/reduce_fold.h"

namespace pb::PB_ISA {
namespace {

template <class T> bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return x != x;
  return false;
}

template <class T, bool kMax> constexpr T worst() {
  if constexpr (std::is_floating_point_v<T>) {
    return kMax ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  } else {
    return kMax ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  }
}

template <class T, bool kMax> struct Extremum {
  static T start() { return worst<T, kMax>(); }
  static T step(T a, T b) {
    const T better = kMax ? (a < b ? b : a) : (b < a ? b : a);
    return is_nan(a) ? a : is_nan(b) ? b : better;
  }
  static T combine(T a, T b) { return step(a, b); }
  template <class V> static V join(const V& a, const V& b) {
    const V better = kMax ? (a > b ? a : b) : (a < b ? a : b);  // b where either is NaN
    return a != a ? a : better;
  }
};

template <bool kMax> bool extremum(const View& in, uint64_t axes, void* out) {
  return visit_dtype(in.dtype,
                     [&]<class T>() { fold<T, T, Extremum<T, kMax>, true>(in, axes, static_cast<T*>(out)); });
}

template <class T> struct Found {
  T value;
  int64_t index;
};

// Whether b, seen after a, takes its place.
template <class T, bool kMax> bool beats(T b, T a) {
  return (!is_nan(a)) & (is_nan(b) | (kMax ? b > a : b < a));
}

template <class T, bool kMax> Found<T> search_run(const T* in, int64_t step, int64_t n) {
  Found<T> best{in[0], 0};
  for (int64_t i = 1; i < n; ++i) {
    const T here = in[i * step];
    const bool better = beats<T, kMax>(here, best.value);
    best.value = better ? here : best.value;
    best.index = better ? i : best.index;
  }
  return best;
}

// The extremum by vectors, then its first place: two fast passes over a block that stays in cache.
template <class T, bool kMax> Found<T> search_contiguous(const T* in, int64_t n) {
  constexpr int64_t kBlock = 2048;
  Found<T> best{in[0], 0};
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t count = std::min(kBlock, n - at);
    T value;
    if constexpr (std::is_floating_point_v<T>) {
      value = fold_vectors<T, Extremum<T, kMax>>(worst<T, kMax>(), in + at, count);
    } else {
      value = fold_strided<T, T, Extremum<T, kMax>>(worst<T, kMax>(), in + at, 1, count);
    }
    if (!beats<T, kMax>(value, best.value)) continue;
    int64_t i = 0;
    if (is_nan(value)) {
      while (!is_nan(in[at + i])) ++i;
    } else {
      while (in[at + i] != value) ++i;
    }
    best = {in[at + i], at + i};
    if (is_nan(value)) break;
  }
  return best;
}

template <class T, bool kMax> Found<T> search(const T* in, int64_t step, int64_t n) {
  return step == 1 && n >= 32 ? search_contiguous<T, kMax>(in, n) : search_run<T, kMax>(in, step, n);
}

// An axis whose neighbours lie side by side in the last axis: a block of columns at a time, down the rows.
template <class T, bool kMax>
void search_columns(const T* in, int64_t step, int64_t n, int64_t width, T* values, int64_t* indices) {
  constexpr int64_t kBlock = 16;
  for (int64_t j = 0; j < width; j += kBlock) {
    const int64_t count = std::min(kBlock, width - j);
    T best[kBlock] = {};
    int64_t at[kBlock] = {};
    for (int64_t k = 0; k < count; ++k) best[k] = in[j + k];
    for (int64_t i = 1; i < n; ++i) {
      const T* row = in + i * step + j;
      for (int64_t k = 0; k < count; ++k) {
        const bool better = beats<T, kMax>(row[k], best[k]);
        best[k] = better ? row[k] : best[k];
        at[k] = better ? i : at[k];
      }
    }
    for (int64_t k = 0; k < count; ++k) {
      if (values) values[j + k] = best[k];
      indices[j + k] = at[k];
    }
  }
}

template <class T, bool kMax> void index_along(const View& in, int axis, T* values, int64_t* indices) {
  ReducePlan kept;
  plan_lines(in, axis, kept);
  const int64_t n = in.shape[axis], step = in.strides[axis];
  const int64_t outputs = PlanWalk(kept, 0, kept.ndim).count();
  if (outputs == 0) return;
  const T* from = static_cast<const T*>(in.data);
  if (step != 1 && kept.ndim > 0 && kept.in[0] == 1 && kept.shape[0] >= 8) {
    const int64_t width = kept.shape[0];
    parallel_chunks(outputs / width, kGrain / (n * width + 1) + 1, [&](int64_t begin, int64_t end) {
      PlanWalk walk(kept, 1, kept.ndim);
      walk.seek(begin);
      for (int64_t i = begin; i < end; ++i, walk.next()) {
        search_columns<T, kMax>(from + walk.in, step, n, width, values ? values + i * width : nullptr,
                                indices + i * width);
      }
    });
    return;
  }
  parallel_chunks(outputs, kGrain / (n + 1) + 1, [&](int64_t begin, int64_t end) {
    PlanWalk walk(kept, 0, kept.ndim);
    walk.seek(begin);
    for (int64_t i = begin; i < end; ++i, walk.next()) {
      const Found<T> best = search<T, kMax>(from + walk.in, step, n);
      if (values) values[i] = best.value;
      indices[i] = best.index;
    }
  });
}

// Everything to one: runs along the last axis, in row-major order.
template <class T, bool kMax> void index_of_all(const View& in, T* value, int64_t* index) {
  ReducePlan all;
  plan_lines(in, -1, all);
  if (all.ndim == 0) {
    all.ndim = 1;
    all.shape[0] = 1;
    all.in[0] = all.out[0] = 0;
  }
  while (all.ndim > 1 && all.in[1] == all.in[0] * all.shape[0]) {  // one run of memory is one axis
    all.shape[0] *= all.shape[1];
    --all.ndim;
    for (int d = 1; d < all.ndim; ++d) {
      all.shape[d] = all.shape[d + 1];
      all.in[d] = all.in[d + 1];
    }
  }
  const T* from = static_cast<const T*>(in.data);
  const int64_t n = all.shape[0];
  PlanWalk walk(all, 1, all.ndim);
  const int64_t runs = walk.count();
  walk.seek(0);
  Found<T> best{from[0], 0};
  for (int64_t r = 0; r < runs; ++r, walk.next()) {
    const Found<T> here = search<T, kMax>(from + walk.in, all.in[0], n);
    if (beats<T, kMax>(here.value, best.value)) best = {here.value, r * n + here.index};
  }
  if (value) *value = best.value;
  *index = best.index;
}

template <bool kMax> bool with_index(const View& in, int axis, void* values, int64_t* indices) {
  return visit_dtype(in.dtype, [&]<class T>() {
    if (axis < 0 || in.ndim == 0) {
      index_of_all<T, kMax>(in, static_cast<T*>(values), indices);
    } else {
      index_along<T, kMax>(in, axis, static_cast<T*>(values), indices);
    }
  });
}

}  // namespace

bool reduce_amax(const View& in, uint64_t axes, void* out) { return extremum<true>(in, axes, out); }
bool reduce_amin(const View& in, uint64_t axes, void* out) { return extremum<false>(in, axes, out); }
bool reduce_max_index(const View& in, int axis, void* values, int64_t* indices) {
  return with_index<true>(in, axis, values, indices);
}
bool reduce_min_index(const View& in, int axis, void* values, int64_t* indices) {
  return with_index<false>(in, axis, values, indices);
}

}  // namespace pb::PB_ISA
