// Folds whose only state is the value itself (product, extrema, any, all): one plane, any operation.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/reduce_driver.h"

namespace pb::PB_ISA {
namespace {

// Op: static A start(); static A step(A, T); for floats also Vec join(Vec, Vec). A is the result's type.
template <class T, class A, class Op> A fold_strided(A value, const T* in, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; ++i) value = Op::step(value, in[i * step]);
  return value;
}

// Four vectors, then their lanes, then the end one by one: a product's bits depend on this order.
template <class T, class Op> T fold_vectors(T value, const T* in, int64_t n) {
  constexpr int64_t kLane = kWide<T>, kRow = 4 * kLane;
  const int64_t rows = n / kRow;
  if (rows > 0) {
    Wide<T> a = load_wide(in), b = load_wide(in + kLane), c = load_wide(in + 2 * kLane),
            d = load_wide(in + 3 * kLane);
    for (int64_t i = 1; i < rows; ++i) {
      const T* row = in + i * kRow;
      a = Op::join(a, load_wide(row));
      b = Op::join(b, load_wide(row + kLane));
      c = Op::join(c, load_wide(row + 2 * kLane));
      d = Op::join(d, load_wide(row + 3 * kLane));
    }
    a = Op::join(Op::join(a, b), Op::join(c, d));
    T lanes = a[0];
    for (int k = 1; k < kLane; ++k) lanes = Op::step(lanes, static_cast<T>(a[k]));
    value = Op::step(value, lanes);
  }
  return fold_strided<T, T, Op>(value, in + rows * kRow, 1, n - rows * kRow);
}

// Down the rows with four vectors of columns at a time; the columns left over go the scalar way.
template <class T, class Op> int64_t fold_vector_columns(const Plane<T, T>& p) {
  constexpr int64_t kLane = kWide<T>;
  int64_t j = 0;
  for (; j + 4 * kLane <= p.size[1]; j += 4 * kLane) {
    Wide<T> value[4];
    for (int k = 0; k < 4; ++k) value[k] = load_wide(p.out + j + k * kLane);
    for (int64_t i = 0; i < p.size[0]; ++i) {
      const T* row = p.in + i * p.in_step[0] + j;
      for (int k = 0; k < 4; ++k) value[k] = Op::join(value[k], load_wide(row + k * kLane));
    }
    for (int k = 0; k < 4; ++k) store_wide(p.out + j + k * kLane, value[k]);
  }
  return j;
}

template <class T, class A, class Op> void fold_columns(const Plane<T, A>& p) {
  constexpr int64_t kBlock = 32;
  int64_t j = 0;
  if constexpr (std::is_floating_point_v<T> && std::is_same_v<T, A>) j = fold_vector_columns<T, Op>(p);
  for (; j < p.size[1]; j += kBlock) {
    const int64_t width = std::min(kBlock, p.size[1] - j);
    A value[kBlock];
    for (int64_t k = 0; k < width; ++k) value[k] = p.out[j + k];
    for (int64_t i = 0; i < p.size[0]; ++i) {
      const T* row = p.in + i * p.in_step[0] + j;
      if (width == kBlock) {
        for (int64_t k = 0; k < kBlock; ++k) value[k] = Op::step(value[k], row[k]);
      } else {
        for (int64_t k = 0; k < width; ++k) value[k] = Op::step(value[k], row[k]);
      }
    }
    for (int64_t k = 0; k < width; ++k) p.out[j + k] = value[k];
  }
}

template <class T, class A, class Op> void fold_plane(const Plane<T, A>& p) {
  if (p.out_step[0] != 0) {
    for (int64_t j = 0; j < p.size[1]; ++j) {
      for (int64_t i = 0; i < p.size[0]; ++i) {
        A& to = p.out[i * p.out_step[0] + j * p.out_step[1]];
        to = Op::step(to, p.in[i * p.in_step[0] + j * p.in_step[1]]);
      }
    }
    return;
  }
  if (p.in_step[0] != 1 && p.in_step[1] == 1 && p.out_step[1] == 1) return fold_columns<T, A, Op>(p);
  for (int64_t j = 0; j < p.size[1]; ++j) {
    const T* in = p.in + j * p.in_step[1];
    A& to = p.out[j * p.out_step[1]];
    if constexpr (std::is_floating_point_v<T> && std::is_same_v<T, A>) {
      if (p.in_step[0] == 1) {
        to = fold_vectors<T, Op>(to, in, p.size[0]);
        continue;
      }
    }
    to = p.in_step[0] == 1 ? fold_strided<T, A, Op>(to, in, 1, p.size[0])
                           : fold_strided<T, A, Op>(to, in, p.in_step[0], p.size[0]);
  }
}

// kAnyOrder: the result does not depend on the order, so one output may be cut up for threads.
template <class T, class A, class Op, bool kAnyOrder> void fold(const View& in, uint64_t axes, A* out) {
  std::fill_n(out, reduced_elements(in, axes), Op::start());
  if (view_elements(in) == 0) return;
  ReducePlan plan;
  plan_reduction(in, axes, plan);
  const T* from = static_cast<const T*>(in.data);
  const auto fn = [](const Plane<T, A>& p) { fold_plane<T, A, Op>(p); };
  if constexpr (kAnyOrder) {
    const auto combine = [](A a, A b) { return Op::combine(a, b); };
    if (split_single_output(plan, from, out, Op::start(), fn, combine)) return;
  }
  for_each_plane(plan, from, out, fn);
}

}  // namespace
}  // namespace pb::PB_ISA
