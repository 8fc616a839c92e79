// Walking several strided operands of one shape together, row by row. For kernel files only.
#pragma once
#include <cstdint>
#include <utility>

#include "core/dtype.h"
#include "kernels/table.h"
#include "runtime/threads.h"

namespace pb {

inline constexpr int kMaxAxes = 64;  // torch's own limit
inline constexpr int64_t kMoveGrain = 32768;  // elements of cheap work that are worth a task of their own

// Elements that are only moved, by size. may_alias: the same bytes are floats or integers elsewhere.
struct __attribute__((may_alias)) Raw1 { uint8_t bits; };
struct __attribute__((may_alias)) Raw2 { uint16_t bits; };
struct __attribute__((may_alias)) Raw4 { uint32_t bits; };
struct __attribute__((may_alias)) Raw8 { uint64_t bits; };

template <class F> void visit_size(DType d, F&& f) {
  switch (size_of(d)) {
    case 1: f.template operator()<Raw1>(); return;
    case 2: f.template operator()<Raw2>(); return;
    case 4: f.template operator()<Raw4>(); return;
    default: f.template operator()<Raw8>(); return;
  }
}

template <class T> T* data_of(const View& v) { return static_cast<T*>(v.data); }

inline int64_t count(const View& v) {
  int64_t n = 1;
  for (int a = 0; a < v.ndim; ++a) n *= v.shape[a];
  return n;
}

inline bool is_contiguous(const View& v) {
  int64_t expected = 1;
  for (int a = v.ndim - 1; a >= 0; --a) {
    if (v.shape[a] == 0) return true;
    if (v.shape[a] != 1 && v.strides[a] != expected) return false;
    expected *= v.shape[a];
  }
  return true;
}

// One shape and the strides of K operands over it. `at` is where each operand starts.
template <int K> struct Walk {
  int ndim = 0;
  int64_t shape[kMaxAxes + 1];  // room for one axis of size 1 that a kernel may put behind
  int64_t stride[K][kMaxAxes + 1];
  int64_t at[K] = {};

  template <class... S> void add(int64_t size, S... strides) {
    static_assert(sizeof...(S) == K);
    shape[ndim] = size;
    int k = 0;
    ((stride[k++][ndim] = strides), ...);
    ++ndim;
  }
  int64_t count() const {
    int64_t n = 1;
    for (int a = 0; a < ndim; ++a) n *= shape[a];
    return n;
  }
  void swap_axes(int a, int b) {
    std::swap(shape[a], shape[b]);
    for (int k = 0; k < K; ++k) std::swap(stride[k][a], stride[k][b]);
  }
  // Joins neighbours that are one axis for every operand; the order of the elements stays. At least
  // one axis is left.
  void merge() {
    int last = -1;
    for (int a = 0; a < ndim; ++a) {
      if (shape[a] == 1) continue;
      bool joined = last >= 0;
      for (int k = 0; k < K && joined; ++k) joined = stride[k][last] == stride[k][a] * shape[a];
      const int64_t size = shape[a];
      if (joined) shape[last] *= size;
      else shape[++last] = size;
      for (int k = 0; k < K; ++k) stride[k][last] = stride[k][a];
    }
    ndim = last + 1;
    if (ndim == 0) {
      shape[0] = 1;
      for (int k = 0; k < K; ++k) stride[k][0] = 0;
      ndim = 1;
    }
  }
  int64_t inner() const { return shape[ndim - 1]; }
  int64_t inner_stride(int k) const { return stride[k][ndim - 1]; }
};

// Calls row(at, n) for the rows [first, last), where at[K] is each operand's first element of the row.
template <int K, class Row> void walk_rows(const Walk<K>& w, int64_t first, int64_t last, Row&& row) {
  if (first >= last || w.inner() == 0) return;
  const int outer = w.ndim - 1;
  int64_t coordinate[kMaxAxes];
  int64_t at[K];
  for (int k = 0; k < K; ++k) at[k] = w.at[k];
  int64_t rest = first;
  for (int a = outer - 1; a >= 0; --a) {
    coordinate[a] = rest % w.shape[a];
    rest /= w.shape[a];
    for (int k = 0; k < K; ++k) at[k] += coordinate[a] * w.stride[k][a];
  }
  for (int64_t r = first;;) {
    row(static_cast<const int64_t*>(at), w.inner());
    if (++r == last) return;
    for (int a = outer - 1; a >= 0; --a) {
      for (int k = 0; k < K; ++k) at[k] += w.stride[k][a];
      if (++coordinate[a] < w.shape[a]) break;
      coordinate[a] = 0;
      for (int k = 0; k < K; ++k) at[k] -= w.stride[k][a] * w.shape[a];
    }
  }
}

template <int K> int64_t row_count(const Walk<K>& w) {
  int64_t rows = 1;
  for (int a = 0; a + 1 < w.ndim; ++a) rows *= w.shape[a];
  return rows;
}

template <int K, class Row> void walk_all(const Walk<K>& w, Row&& row) { walk_rows(w, 0, row_count(w), row); }

// As walk_all over the pool, for rows that write to different places. A row may arrive in pieces.
template <int K, class Row> void walk_parallel(const Walk<K>& w, Row&& row, int64_t grain = kMoveGrain) {
  const int64_t rows = row_count(w), inner = w.inner();
  if (rows * inner <= grain) return walk_rows(w, 0, rows, row);
  if (rows > 1) {
    const int64_t per_task = inner >= grain ? 1 : (grain + inner - 1) / inner;
    parallel_chunks(rows, per_task, [&](int64_t b, int64_t e) { walk_rows(w, b, e, row); });
    return;
  }
  parallel_chunks(inner, grain, [&](int64_t b, int64_t e) {
    int64_t at[K];
    for (int k = 0; k < K; ++k) at[k] = w.at[k] + b * w.inner_stride(k);
    row(static_cast<const int64_t*>(at), e - b);
  });
}

// Calls row(at, by, n), by[K] being the inner strides, for all rows; cut for threads only along `axis` (-1:
// not at all): for kernels that add up along the others in order.
template <int K, class Row>
void walk_split(const Walk<K>& w, int axis, Row&& row, int64_t grain = kMoveGrain) {
  const int64_t total = w.count();
  if (total == 0) return;
  auto part = [&](int64_t b, int64_t e) {
    Walk<K> piece = w;
    if (axis >= 0) {
      piece.shape[axis] = e - b;
      for (int k = 0; k < K; ++k) piece.at[k] += b * w.stride[k][axis];
    }
    piece.merge();
    int64_t by[K];
    for (int k = 0; k < K; ++k) by[k] = piece.inner_stride(k);
    walk_all(piece, [&](const int64_t* at, int64_t n) { row(at, static_cast<const int64_t*>(by), n); });
  };
  const int64_t size = axis >= 0 ? w.shape[axis] : 1;
  if (axis < 0 || size < 2 || total <= grain) return part(0, size);
  const int64_t slice = total / size;
  const int64_t per_task = slice >= grain ? 1 : (grain + slice - 1) / slice;
  parallel_chunks(size, per_task, part);
}

}  // namespace pb
