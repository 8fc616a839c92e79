// Compiled once per instruction set: -DPB_ISA=baseline, -DPB_ISA=avx2 and, where
// PB_HAVE_AVX512 is defined for matmul.cpp, -DPB_ISA=avx512 (-mavx512f -mavx512dq -mavx512vl -mavx2 -mfma).
#include "kernels/gemm_small.h"

#include <type_traits>

#include "kernels/gemv.h"
#include "kernels/simd.h"

namespace pb::PB_ISA {
namespace {

// As many rows of two vectors of sums as the registers hold beside 2 vectors of B and 1 of A.
#if defined(__AVX512F__)
constexpr int kRowsPerTile = 12;
#else
constexpr int kRowsPerTile = 6;
#endif

// One block over k of one tile of C. The panel of B holds NV whole vectors a row.
template <class T> struct Tile {
  int64_t k;
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  int columns;      // of C, at most NV vectors
  const T* bias;    // with the first block only
  bool add;         // onto what earlier blocks left in C
};

template <class T, int NV> inline void finish_row(const Tile<T>& t, T* c, Vec<T>* sum) {
  constexpr int W = kWidth<T>;
  if (t.columns == NV * W) {
    for (int v = 0; v < NV; ++v) {
      if (t.bias) sum[v] = sum[v] + load(t.bias + v * W);
      if (t.add) sum[v] = load(c + v * W) + sum[v];
      store(c + v * W, sum[v]);
    }
    return;
  }
  T values[NV * W];
  for (int v = 0; v < NV; ++v) store(values + v * W, sum[v]);
  for (int j = 0; j < t.columns; ++j) {
    const T value = t.bias ? values[j] + t.bias[j] : values[j];
    c[j] = t.add ? c[j] + value : value;
  }
}

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
#pragma GCC unroll 12
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = broadcast(a[i * a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) sum[i][v] = madd(av, bv[v], sum[i][v]);
    }
    a += a_col;
    b += b_row;
  }
#pragma GCC unroll 12
  for (int i = 0; i < MR; ++i) finish_row<T, NV>(t, t.c + i * t.c_row, sum[i]);
}

template <class T> using TileFn = void (*)(const Tile<T>&);
template <class T, int NV> constexpr TileFn<T> kTiles[] = {
    tile<T, 1, NV>,  tile<T, 2, NV>, tile<T, 3, NV>, tile<T, 4, NV>,
    tile<T, 5, NV>,  tile<T, 6, NV>,
#if defined(__AVX512F__)
    tile<T, 7, NV>,  tile<T, 8, NV>, tile<T, 9, NV>, tile<T, 10, NV>,
    tile<T, 11, NV>, tile<T, 12, NV>
#endif
};

#if defined(__AVX2__) && defined(__FMA__)
// out[p * 16 + j] = b[j * b_col + p] for 8 x 8 elements.
inline void transpose8(const float* b, int64_t b_col, float* out, int64_t out_row) {
  __m256 r[8], s[8];
  for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_ps(b + j * b_col);
  for (int j = 0; j < 8; j += 2) {
    s[j] = _mm256_unpacklo_ps(r[j], r[j + 1]);
    s[j + 1] = _mm256_unpackhi_ps(r[j], r[j + 1]);
  }
  for (int j = 0; j < 8; j += 4) {
    r[j] = _mm256_shuffle_ps(s[j], s[j + 2], 0x44);
    r[j + 1] = _mm256_shuffle_ps(s[j], s[j + 2], 0xee);
    r[j + 2] = _mm256_shuffle_ps(s[j + 1], s[j + 3], 0x44);
    r[j + 3] = _mm256_shuffle_ps(s[j + 1], s[j + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(out + j * out_row, _mm256_permute2f128_ps(r[j], r[j + 4], 0x20));
    _mm256_storeu_ps(out + (j + 4) * out_row, _mm256_permute2f128_ps(r[j], r[j + 4], 0x31));
  }
}
inline constexpr int kTransposed = 8;
#else
inline void transpose8(const float*, int64_t, float*, int64_t) {}
inline constexpr int kTransposed = 0;
#endif

// Copies k rows of `columns` elements of B into rows of `width`, with zeros behind.
template <class T>
void pack(const T* b, int64_t b_row, int64_t b_col, int64_t k, int columns, int width, T* out) {
  if (b_col == 1 && columns == width) {
    for (int64_t p = 0; p < k; ++p) std::memcpy(out + p * width, b + p * b_row, sizeof(T) * width);
    return;
  }
  int64_t p = 0;
  if constexpr (std::is_same_v<T, float> && kTransposed != 0) {
    if (b_row == 1 && columns == width) {
      for (; p + 8 <= k; p += 8) {
        for (int j = 0; j < width; j += 8) transpose8(b + p + j * b_col, b_col, out + p * width + j, width);
      }
    }
  }
  for (; p < k; ++p) {
    for (int j = 0; j < columns; ++j) out[p * width + j] = b[p * b_row + j * b_col];
    for (int j = columns; j < width; ++j) out[p * width + j] = T{0};
  }
}

template <class T, int NV> void panel(const GemmTask<T>& g, int64_t j, int columns, T* buffer) {
  constexpr int width = NV * kWidth<T>;
  const int64_t tiles = (g.m + kRowsPerTile - 1) / kRowsPerTile;
  // A panel that only a few rows of A meet, and that lies as the kernel reads it, is not worth a copy.
  const bool direct = g.b_col == 1 && columns == width && g.m <= 4 * kRowsPerTile;
  for (int64_t p = 0, block; p < g.k; p += block) {
    block = next_block(g.k - p);
    Tile<T> t{block,   nullptr, g.a_row, g.a_col, g.b + p * g.b_row + j * g.b_col,
              g.b_row, nullptr, g.c_row, columns, p == 0 && g.bias ? g.bias + j : nullptr,
              p > 0};
    if (!direct) {
      pack(t.b, g.b_row, g.b_col, block, columns, width, buffer);
      t.b = buffer;
      t.b_row = width;
    }
    // Rows are shared out evenly, so that no tile is left with one row and a long chain of dependent sums.
    int64_t row = 0;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t rows = g.m * (i + 1) / tiles - row;
      t.a = g.a + row * g.a_row + p * g.a_col;
      t.c = g.c + row * g.c_row + j;
      kTiles<T, NV>[rows - 1](t);
      row += rows;
    }
  }
}

template <class T> void by_tiles(const GemmTask<T>& g) {
  constexpr int W = kWidth<T>;
  alignas(64) static thread_local T buffer[kBlockK * 2 * W];
  int64_t j = 0;
  for (; j + 2 * W <= g.n; j += 2 * W) panel<T, 2>(g, j, 2 * W, buffer);
  const int left = static_cast<int>(g.n - j);
  if (left > W) {
    panel<T, 2>(g, j, left, buffer);
  } else if (left > 0) {
    panel<T, 1>(g, j, left, buffer);
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
// rows
// on both sides, as nn.Linear has them, when there are few of them or they are long for their number.
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

template <class T> void outer(const GemmTask<T>& g) {
  for (int64_t i = 0; i < g.m; ++i) {
    const T a = g.a[i * g.a_row];
    T* c = g.c + i * g.c_row;
    for (int64_t j = 0; j < g.n; ++j) {
      const T b = g.b[j * g.b_col];
      c[j] = g.bias ? madd(a, b, g.bias[j]) : a * b;
    }
  }
}

template <class T> void gemm(const GemmTask<T>& g) {
  if (g.k == 0) return clear(g);
  if (g.m == 1 || g.n == 1) return vector_product(g);
  if (g.k == 1) return outer(g);
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
