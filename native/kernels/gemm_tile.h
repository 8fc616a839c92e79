// A tile of C in registers: a few rows of A against one packed panel of B. Include only from files compiled
// once per ISA.
#pragma once
#include <cstdint>

#include "kernels/simd.h"

namespace pb::PB_ISA {

// As many rows of two vectors of sums as the registers hold beside 2 vectors of B and 1 of A.
#if defined(__AVX512F__)
inline constexpr int kRowsPerTile = 14;
#else
inline constexpr int kRowsPerTile = 6;
#endif
template <class T> inline constexpr int kPanel = 2 * kWidth<T>;  // columns of B side by side

// One block over k of one tile.
template <class T> struct Tile {
  int64_t k;
  const T* a;
  int64_t a_row, a_col;
  const T* b;  // k rows of NV whole vectors
  int64_t b_row;
  T* c;
  int64_t c_row;
  const T* bias;  // with the first block only
  bool add;       // onto what earlier blocks left in C
};

template <class T, int MR, int NV> void tile(const Tile<T>& t) {
  constexpr int W = kWidth<T>;
  Vec<T> sum[MR][NV] = {};
  const T* a = t.a;
  const T* b = t.b;
  const int64_t a_row = t.a_row, a_col = t.a_col, b_row = t.b_row;
  for (int64_t p = 0; p < t.k; ++p) {
    Vec<T> bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = load(b + v * W);
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = broadcast(a[i * a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) sum[i][v] = madd(av, bv[v], sum[i][v]);
    }
    a += a_col;
    b += b_row;
  }
  const auto finish = [&](auto value) {
    T* c = t.c;
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i, c += t.c_row) {
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) store(c + v * W, value(sum[i][v], c + v * W, v * W));
    }
  };
  if (t.add) {
    finish([](Vec<T> s, const T* c, int) { return load(c) + s; });
  } else if (t.bias) {
    finish([&](Vec<T> s, const T*, int j) { return s + load(t.bias + j); });
  } else {
    finish([](Vec<T> s, const T*, int) { return s; });
  }
}

template <class T> using TileFn = void (*)(const Tile<T>&);
template <class T, int NV> inline constexpr TileFn<T> kTiles[] = {
    tile<T, 1, NV>,  tile<T, 2, NV>,  tile<T, 3, NV>, tile<T, 4, NV>,  tile<T, 5, NV>,  tile<T, 6, NV>,
#if defined(__AVX512F__)
    tile<T, 7, NV>,  tile<T, 8, NV>,  tile<T, 9, NV>, tile<T, 10, NV>, tile<T, 11, NV>, tile<T, 12, NV>,
    tile<T, 13, NV>, tile<T, 14, NV>,
#endif
};

// A tile whose last columns C does not have: computed beside C and copied.
template <class T> void edge_tile(TileFn<T> fn, Tile<T> t, int rows, int columns) {
  constexpr int W = kWidth<T>;
  alignas(64) T values[kRowsPerTile * kPanel<T>];
  const Tile<T> to = t;
  t.c = values;
  t.c_row = kPanel<T>;
  t.bias = nullptr;
  t.add = false;
  fn(t);
  for (int j = 0; j < columns; j += W) {
    const int n = columns - j < W ? columns - j : W;
    const Vec<T> bias = to.bias ? load_part(to.bias + j, n) : Vec<T>{};
    for (int i = 0; i < rows; ++i) {
      Vec<T> sum = load(values + i * kPanel<T> + j);
      T* c = to.c + i * to.c_row + j;
      if (to.bias) sum = sum + bias;
      if (to.add) sum = load_part(c, n) + sum;
      store_part(c, sum, n);
    }
  }
}

template <class T> inline void run_tile(const Tile<T>& t, int rows, int columns) {
  constexpr int W = kWidth<T>;
  const TileFn<T> fn = columns <= W ? kTiles<T, 1>[rows - 1] : kTiles<T, 2>[rows - 1];
  if (columns == W || columns == 2 * W) return fn(t);
  edge_tile(fn, t, rows, columns);
}

}  // namespace pb::PB_ISA
