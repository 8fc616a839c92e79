// Matrix times vector, y = M x (+ bias), one thread. Include only from files compiled once per ISA.
//
// Orders of summation, as torch's BLAS is seen to use them on x86-64 with 16 float32 lanes:
//   rows contiguous, by four:   p = m0 x0; the lanes start from (p, 0, 0, ...), take whole groups of lanes
//                               and are
//                               summed by halves; the rest of the row goes through them once more
//   rows contiguous, last 1-3:  m0 x0 + (two sets of lanes in turn, summed by halves); the second has one set
//   columns contiguous, by 16:  eight columns at a time, in four partial sums
//   columns contiguous, last:   one chain over k
// and in float64, with 8 lanes: two sets of lanes in turn for every contiguous row, one chain for columns.
#pragma once
#include "kernels/simd.h"

namespace pb::PB_ISA {

template <class T> struct GemvTask {
  int64_t rows, k;
  const T* m;
  int64_t m_row, m_col;
  const T* x;  // contiguous
  T* y;
  int64_t y_stride;
  const T* bias;
  int64_t bias_stride;  // 0 where one value serves all rows
};

template <class T> inline void put(const GemvTask<T>& t, int64_t row, T sum) {
  t.y[row * t.y_stride] = t.bias ? sum + t.bias[row * t.bias_stride] : sum;
}

template <class T, int R> inline void rows_by_lanes(const GemvTask<T>& t, int64_t row) {
  constexpr int L = Lanes<T>::kCount;
  const T* m = t.m + row * t.m_row;
  const T* x = t.x;
  T sum[R];
  Lanes<T> acc[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    sum[r] = m[r * t.m_row] * x[0];
    acc[r].part[0][0] = sum[r];
  }
  int64_t i = 1;
  for (; i + L <= t.k; i += L) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) acc[r].madd(m + r * t.m_row + i, x + i);
  }
  for (int r = 0; r < R; ++r) {
    if (i > 1) sum[r] = acc[r].sum_halves();
    if (i < t.k) {
      Lanes<T> rest;
      rest.part[0][0] = sum[r];
      rest.madd_part(m + r * t.m_row + i, x + i, t.k - i);
      sum[r] = rest.sum_halves();
    }
    put(t, row + r, sum[r]);
  }
}

template <class T> inline void last_row_by_lanes(const GemvTask<T>& t, int64_t row, bool in_turn) {
  constexpr int L = Lanes<T>::kCount;
  const T* m = t.m + row * t.m_row;
  const T first = m[0] * t.x[0];
  Lanes<T> even, odd;
  int64_t i = 1;
  for (; in_turn && i + 2 * L <= t.k; i += 2 * L) {
    even.madd(m + i, t.x + i);
    odd.madd(m + i + L, t.x + i + L);
  }
  even = even + odd;
  for (; i + L <= t.k; i += L) even.madd(m + i, t.x + i);
  if (i < t.k) even.madd_part(m + i, t.x + i, t.k - i);
  put(t, row, t.k > 1 ? first + even.sum_halves() : first);
}

template <class T> inline T chain(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t k) {
  T sum = 0;
  for (int64_t i = 0; i < k; ++i) sum = madd(a[i * a_step], b[i * b_step], sum);
  return sum;
}

// Eight columns onto y: partial sums of columns (0,2), (1,3), (y,6,4), (7,5).
template <class T> inline void eight_columns(const T* m, int64_t col, const T* x, T* y, int64_t rows) {
  const Vec<T> x0 = broadcast(x[0]), x1 = broadcast(x[1]), x2 = broadcast(x[2]), x3 = broadcast(x[3]);
  const Vec<T> x4 = broadcast(x[4]), x5 = broadcast(x[5]), x6 = broadcast(x[6]), x7 = broadcast(x[7]);
  for (int64_t i = 0; i < rows; i += kWidth<T>) {
    const T* p = m + i;
    const Vec<T> s0 = madd(load(p), x0, load(p + 2 * col) * x2);
    const Vec<T> s1 = madd(load(p + col), x1, load(p + 3 * col) * x3);
    const Vec<T> s2 = madd(load(p + 4 * col), x4, madd(load(p + 6 * col), x6, load(y + i)));
    const Vec<T> s3 = madd(load(p + 5 * col), x5, load(p + 7 * col) * x7);
    store(y + i, (s2 + s3) + (s0 + s1));
  }
}

// A column alone needs no sums: of a batch of small outer products they would be most of the work.
template <class T> void one_column(const GemvTask<T>& t) {
  const Vec<T> x = broadcast(t.x[0]);
  int64_t i = 0;
  for (; i + kWidth<T> <= t.rows; i += kWidth<T>) {
    const Vec<T> product = madd(load(t.m + i), x, Vec<T>{});  // minus zero becomes zero, as in a sum
    store(t.y + i, t.bias ? product + load(t.bias + i) : product);
  }
  for (; i < t.rows; ++i) put(t, i, chain(t.m + i, t.m_col, t.x, 1, 1));
}

template <class T> void gemv_columns(const GemvTask<T>& t) {
  constexpr int64_t kRows = 512;  // of y, kept in the first cache while the columns pass
  if (t.k == 1 && t.y_stride == 1 && (!t.bias || t.bias_stride == 1)) return one_column(t);
  const int64_t whole = t.rows / Lanes<T>::kCount * Lanes<T>::kCount;
  alignas(64) T y[kRows];
  for (int64_t begin = 0; begin < whole; begin += kRows) {
    const int64_t rows = whole - begin < kRows ? whole - begin : kRows;
    for (int64_t i = 0; i < rows; ++i) y[i] = T{0};
    const T* m = t.m + begin;
    int64_t p = 0;
    // Only float32 takes columns in groups; float64 is a chain throughout.
    for (; sizeof(T) == 4 && p + 8 <= t.k; p += 8) eight_columns(m + p * t.m_col, t.m_col, t.x + p, y, rows);
    for (; p < t.k; ++p) {
      const Vec<T> x = broadcast(t.x[p]);
      for (int64_t i = 0; i < rows; i += kWidth<T>) {
        store(y + i, madd(load(m + p * t.m_col + i), x, load(y + i)));
      }
    }
    for (int64_t i = 0; i < rows; ++i) put(t, begin + i, y[i]);
  }
  for (int64_t i = whole; i < t.rows; ++i) put(t, i, chain(t.m + i, t.m_col, t.x, 1, t.k));
}

// float64: no row is special, and no element.
inline void double_row(const GemvTask<double>& t, int64_t row) {
  constexpr int L = Lanes<double>::kCount;
  const double* m = t.m + row * t.m_row;
  Lanes<double> even, odd;
  int64_t i = 0;
  for (; i + 2 * L <= t.k; i += 2 * L) {
    even.madd(m + i, t.x + i);
    odd.madd(m + i + L, t.x + i + L);
  }
  even = even + odd;
  for (; i + L <= t.k; i += L) even.madd(m + i, t.x + i);
  if (i < t.k) even.madd_part(m + i, t.x + i, t.k - i);
  put(t, row, even.sum_fours());
}

// Rows of one element, which no sum follows.
template <class T> void single_elements(const GemvTask<T>& t) {
  int64_t row = 0;
  if (t.m_row == 1 && t.y_stride == 1 && (!t.bias || t.bias_stride == 0)) {
    const Vec<T> x = broadcast(t.x[0]);
    for (; row + kWidth<T> <= t.rows; row += kWidth<T>) {
      const Vec<T> product = load(t.m + row) * x;
      store(t.y + row, t.bias ? product + broadcast(t.bias[0]) : product);
    }
  }
  for (; row < t.rows; ++row) put(t, row, t.m[row * t.m_row] * t.x[0]);
}

template <class T> void gemv_rows(const GemvTask<T>& t) {
  if constexpr (sizeof(T) == 8) {
    for (int64_t row = 0; row < t.rows; ++row) double_row(t, row);
    return;
  }
  if (t.k == 1) return single_elements(t);
  int64_t row = 0;
  for (; row + 4 <= t.rows; row += 4) rows_by_lanes<T, 4>(t, row);
  for (int64_t last = row; row < t.rows; ++row) last_row_by_lanes(t, row, row - last != 1);
}

// The dot product of two vectors: four sets of lanes in turn.
template <class T> T dot(const T* a, const T* b, int64_t k) {
  constexpr int L = Lanes<T>::kCount;
  Lanes<T> s[4];
  int64_t i = 0;
  for (; i + 4 * L <= k; i += 4 * L) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) s[j].madd(a + i + j * L, b + i + j * L);
  }
  if (i + 2 * L <= k) {
    s[0].madd(a + i, b + i);
    s[1].madd(a + i + L, b + i + L);
    i += 2 * L;
  }
  if (i + L <= k) {
    s[0].madd(a + i, b + i);
    i += L;
  }
  if (i < k) s[0].madd_part(a + i, b + i, k - i);
  const Lanes<T> all = (s[0] + s[1]) + (s[2] + s[3]);
  return sizeof(T) == 8 ? all.sum_halves() : all.sum_neighbours();
}

// One set of lanes: what torch's BLAS does for a handful of contiguous rows against contiguous rows.
template <class T> Lanes<T> lanes_of_products(const T* a, const T* b, int64_t k) {
  constexpr int L = Lanes<T>::kCount;
  Lanes<T> s;
  int64_t i = 0;
  for (; i + L <= k; i += L) s.madd(a + i, b + i);
  if (i < k) s.madd_part(a + i, b + i, k - i);
  return s;
}

}  // namespace pb::PB_ISA
