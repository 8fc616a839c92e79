// Compiled once per instruction set: -DPB_ISA=baseline, -DPB_ISA=avx2 and, where
// PB_HAVE_AVX512 is defined for matmul.cpp, -DPB_ISA=avx512 (its flags: CMakeLists.txt).
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/gemm_pack.h"
#include "kernels/gemm_tile.h"
#include "kernels/gemv.h"
#include "kernels/simd.h"

namespace pb::PB_ISA {
namespace {

constexpr int64_t kShort = 128;  // a k whose panels of B fit the first cache by the way

// Columns of C whose B is at hand: tile after tile of rows, so that each tile's A stays in the first cache
// while it meets the panels.
template <class T> struct Strip {
  int64_t rows, columns;
  Tile<T> tile;       // the first one; its A and C are moved on
  int64_t b_panel;    // from one panel to the next
};

template <class T> void run_strip(const Strip<T>& s) {
  const int64_t tiles = (s.rows + kRowsPerTile - 1) / kRowsPerTile;
  // Rows are shared out evenly, so that no tile is left with one row and a long chain of dependent sums.
  int64_t row = 0;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t rows = s.rows * (i + 1) / tiles - row;
    Tile<T> t = s.tile;
    t.a += row * t.a_row;
    t.c += row * t.c_row;
    for (int64_t j = 0; j < s.columns; j += kPanel<T>) {
      run_tile(t, static_cast<int>(rows), static_cast<int>(std::min<int64_t>(kPanel<T>, s.columns - j)));
      t.b += s.b_panel;
      t.c += kPanel<T>;
      if (t.bias) t.bias += kPanel<T>;
    }
    row += rows;
  }
}

// Many columns of A far from each other are in as many pages, and often in the same few lines of a cache.
template <class T> bool wants_packed_rows(const GemmTask<T>& g) {
  if (g.a_col == 1 || g.k <= kShort || g.n < 2 * kPanel<T>) return false;
  return g.a_col * static_cast<int64_t>(sizeof(T)) >= 1024;
}

template <class T> void run_rows(const GemmTask<T>& g, const Strip<T>& all, PackSpace<T>& space) {
  T* packed = wants_packed_rows(g) ? space.for_rows() : nullptr;
  if (!packed) return run_strip(all);
  for (int64_t i = 0; i < g.m; i += kPackedRows) {
    Strip<T> s = all;
    s.rows = std::min(kPackedRows, g.m - i);
    pack_rows(all.tile.a + i * g.a_row, g.a_row, g.a_col, s.tile.k, s.rows, packed);
    s.tile.a = packed;
    s.tile.a_row = 1;
    s.tile.a_col = kPackedStep;
    s.tile.c += i * g.c_row;
    run_strip(s);
  }
}

// A short block stays in the first cache from packing to use; a long one is packed along whole rows of B.
template <class T> int64_t packed_width(int64_t k) {
  constexpr int64_t P = kPanel<T>, kFirstCache = 16384 / sizeof(T);
  return k <= kShort ? std::min(kPackedColumns<T>, std::max(P, kFirstCache / k / P * P)) : kPackedColumns<T>;
}

template <class T> void by_tiles(const GemmTask<T>& g) {
  constexpr int P = kPanel<T>;
  alignas(64) static thread_local T one_panel[kBlockK * P];
  static thread_local PackSpace<T> space;
  T* packed = g.n > P ? space.for_columns() : nullptr;
  const int64_t width = packed ? packed_width<T>(g.k) : P;
  if (!packed) packed = one_panel;
  // Panels that only a few rows of A meet, and that lie as the kernel reads them, are not worth a copy.
  const int64_t whole = g.n % P == kWidth<T> ? g.n : g.n / P * P;
  const int64_t direct = g.b_col == 1 && g.m <= 4 * kRowsPerTile ? whole : 0;
  for (int64_t p = 0, block; p < g.k; p += block) {
    block = next_block(g.k - p);
    const auto strip = [&](int64_t j, int64_t columns, const T* b, int64_t b_row, int64_t b_panel) {
      const T* bias = p == 0 && g.bias ? g.bias + j : nullptr;
      run_rows(g,
               Strip<T>{g.m,
                        columns,
                        {block, g.a + p * g.a_col, g.a_row, g.a_col, b, b_row, g.c + j, g.c_row, bias, p > 0},
                        b_panel},
               space);
    };
    const T* b = g.b + p * g.b_row;
    if (direct > 0) strip(0, direct, b, g.b_row, P);
    for (int64_t j = direct; j < g.n; j += width) {
      const int64_t columns = std::min(width, g.n - j), full = columns / P * P;
      pack_columns(b + j * g.b_col, g.b_row, g.b_col, block, columns, packed);
      if (full > 0) strip(j, full, packed, P, P * block);
      if (full < columns) {
        const int64_t row = columns - full > kWidth<T> ? P : kWidth<T>;
        strip(j + full, columns - full, packed + full * block, row, 0);
      }
    }
  }
}

template <class T> void clear(const GemmTask<T>& g) {
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) g.c[i * g.c_row + j] = g.bias ? g.bias[j] : T{0};
  }
}

template <class T> void gemv(const GemvTask<T>& t, int64_t x_step) {
  if (x_step != 1 && t.k > 1) {
    for (int64_t i = 0; i < t.rows; ++i) put(t, i, chain(t.m + i * t.m_row, t.m_col, t.x, x_step, t.k));
    return;
  }
  if (t.m_col == 1) return gemv_rows(t);
  if (t.m_row == 1) return gemv_columns(t);
  for (int64_t i = 0; i < t.rows; ++i) put(t, i, chain(t.m + i * t.m_row, t.m_col, t.x, 1, t.k));
}

template <class T> void vector_product(const GemmTask<T>& g) {
  if (g.m == 1 && g.n == 1) {
    const bool contiguous = (g.a_col == 1 && g.b_row == 1) || g.k == 1;
    if (g.dot && contiguous) {
      const T sum = dot(g.a, g.b, g.k);
      g.c[0] = g.bias ? sum + g.bias[0] : sum;
      return;
    }
    // (1, k) times a (k, 1) that is not a transposed row: torch's BLAS takes B for a matrix of one column.
    const bool chained = g.b_col == 1 || !contiguous;
    if (chained) {
      const T sum = chain(g.a, g.a_col, g.b, g.b_row, g.k);
      g.c[0] = g.bias ? sum + g.bias[0] : sum;
      return;
    }
  }
  if (g.n == 1) return gemv<T>({g.m, g.k, g.a, g.a_row, g.a_col, g.b, g.c, g.c_row, g.bias, 0}, g.b_row);
  gemv<T>({g.n, g.k, g.b, g.b_col, g.b_row, g.a, g.c, 1, g.bias, 1}, g.a_col);
}

enum class Order { Tiles, Halves, Quarters };

// Where torch's BLAS takes dot products instead of chains, as far as was seen: in float32, for contiguous
// rows on both sides, as nn.Linear has them, when there are few of them or they are long for their number.
template <class T> Order order_of(const GemmTask<T>& g) {
  if (sizeof(T) == 8 || g.a_col != 1 || g.b_row != 1 || g.b_col == 1) return Order::Tiles;
  if (g.n <= 3 && g.m * g.n < 32) return Order::Halves;
  if (g.m < g.n && g.n <= 11 && g.k <= g.n) return Order::Halves;
  if (g.m <= 12 && g.k >= 24 * g.m + 1) return Order::Quarters;
  return Order::Tiles;
}

template <class T> void by_dots(const GemmTask<T>& g, Order order) {
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      const Lanes<T> lanes = lanes_of_products(g.a + i * g.a_row, g.b + j * g.b_col, g.k);
      const T sum = order == Order::Halves ? lanes.sum_halves() : lanes.sum_quarters();
      g.c[i * g.c_row + j] = g.bias ? sum + g.bias[j] : sum;
    }
  }
}

template <class T, bool kPast> void outer(const GemmTask<T>& g) {
  for (int64_t i = 0; i < g.m; ++i) {
    const T a = g.a[i * g.a_row];
    T* c = g.c + i * g.c_row;
    int64_t j = 0;
    if (g.b_col == 1) {
      const Vec<T> av = broadcast(a);
      for (; j + kWidth<T> <= g.n; j += kWidth<T>) {
        const Vec<T> b = load(g.b + j), value = g.bias ? madd(av, b, load(g.bias + j)) : av * b;
        if constexpr (kPast) store_past(c + j, value);
        else store(c + j, value);
      }
    }
    for (; j < g.n; ++j) {
      const T b = g.b[j * g.b_col];
      c[j] = g.bias ? madd(a, b, g.bias[j]) : a * b;
    }
  }
}

template <class T> bool whole_vectors(const GemmTask<T>& g) {
  return reinterpret_cast<uintptr_t>(g.c) % kBytes == 0 && g.c_row % kWidth<T> == 0;
}

template <class T> void gemm(const GemmTask<T>& g) {
  if (g.k == 0) return clear(g);
  if (g.m == 1 || g.n == 1) return vector_product(g);
  if (g.k == 1) return g.past_caches && whole_vectors(g) ? outer<T, true>(g) : outer<T, false>(g);
  const Order order = order_of(g);
  if (order == Order::Tiles) return by_tiles(g);
  by_dots(g, order);
}

}  // namespace

const GemmKernels& gemm_kernels() {
#define PB_TEXT_(x) #x
#define PB_TEXT(x) PB_TEXT_(x)
  static const GemmKernels k{PB_TEXT(PB_ISA), gemm<float>, gemm<double>};
#undef PB_TEXT
#undef PB_TEXT_
  return k;
}

}  // namespace pb::PB_ISA
