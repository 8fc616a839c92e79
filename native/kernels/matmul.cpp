#include "kernels/matmul.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/blas.h"
#include "kernels/gemm.h"
#include "kernels/stream.h"
#include "runtime/threads.h"

namespace pb {
namespace {

// Work is counted in multiply-adds. All limits depend on sizes alone, so neither the choice of a kernel nor
// the cut into slices, and so no digit of a result, depends on the number of threads.
constexpr double kChunkWork = 250e3;  // what makes waking another thread worth while
constexpr double kOwnWork = 7e6;      // a product that a BLAS may take, where one is wanted at all
constexpr double kBlasSlice = 1.0e6;  // a slice of a BLAS product, at the least
// Slices for the own kernels. Each packs its part of B, and of A where columns lie apart, so they are as
// large as the second cache likes, and smaller only until there are some to share out.
constexpr int64_t kOwnRows = 1024, kOwnColumns = 512;
constexpr int64_t kOwnSlices = 8;
constexpr int64_t kFewRows = 256;  // below, packing B would be felt
constexpr int64_t kFewColumns = 32;  // one panel
constexpr int64_t kStreamBytes = 4 << 20;  // an outer product from this size on leaves the caches alone

const GemmKernels& choose_kernels() {
#if defined(__x86_64__)
  const char* set = std::getenv("PULLBACK_ISA");
  const bool plain = set && std::strcmp(set, "baseline") == 0;
  const bool narrow = set && std::strcmp(set, "avx2") == 0;
  static_cast<void>(narrow);
#if defined(PB_HAVE_AVX512)
  if (!plain && !narrow && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return avx512::gemm_kernels();
  }
#endif
  if (!plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::gemm_kernels();
#endif
  return baseline::gemm_kernels();
}

template <class T> struct Matrices {
  GemmTask<T> first;  // of the batch
  std::vector<int64_t> shape, a, b, c;
  int64_t batches = 1;

  GemmTask<T> at(int64_t index) const {
    GemmTask<T> g = first;
    for (size_t d = shape.size(); d-- > 0;) {
      const int64_t i = index % shape[d];
      index /= shape[d];
      g.a += i * a[d];
      g.b += i * b[d];
      g.c += i * c[d];
    }
    return g;
  }
};

// Drops axes of size 1, and lets a batch of rows that meet one and the same B become more rows.
template <class T> Matrices<T> matrices(const MatmulArgs& x) {
  Matrices<T> r{{x.m, x.n, x.k, static_cast<const T*>(x.a), x.a_row, x.a_col, static_cast<const T*>(x.b),
                 x.b_row, x.b_col, static_cast<T*>(x.c), x.c_row, static_cast<const T*>(x.bias_row), x.dot},
                {},
                {},
                {},
                {}};
  for (int d = 0; d < x.batch_ndim; ++d) {
    r.batches *= x.batch_shape[d];
    if (x.batch_shape[d] == 1) continue;
    r.shape.push_back(x.batch_shape[d]);
    r.a.push_back(x.a_batch[d]);
    r.b.push_back(x.b_batch[d]);
    r.c.push_back(x.c_batch[d]);
  }
  GemmTask<T>& g = r.first;
  while (!r.shape.empty() && r.b.back() == 0 && r.batches > 0) {
    if (g.m == 1) {
      g.a_row = r.a.back();
      g.c_row = r.c.back();
    }
    if (r.a.back() != g.m * g.a_row || r.c.back() != g.m * g.c_row) break;
    g.m *= r.shape.back();
    r.batches /= r.shape.back();
    for (auto* v : {&r.shape, &r.a, &r.b, &r.c}) v->pop_back();
  }
  return r;
}

template <class T> double work(const GemmTask<T>& g) {
  return static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(std::max<int64_t>(g.k, 1));
}

template <class T> void run_own(const GemmTask<T>& g) {
  if constexpr (std::is_same_v<T, float>) {
    gemm_kernels().f32(g);
  } else {
    gemm_kernels().f64(g);
  }
}

// A BLAS reads rows or columns that follow each other without overlap.
bool readable(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return (column == 1 && row >= std::max<int64_t>(columns, 1)) ||
         (row == 1 && column >= std::max<int64_t>(rows, 1));
}

template <class T> void run_blas(const GemmTask<T>& g) {
  const bool a_rows = g.a_col == 1 && g.a_row >= g.k, b_rows = g.b_col == 1 && g.b_row >= g.n;
  if (g.bias) {
    for (int64_t i = 0; i < g.m; ++i) std::copy_n(g.bias, g.n, g.c + i * g.c_row);
  }
  blas_gemm(BlasGemm<T>{a_rows ? Layout::Normal : Layout::Transposed,
                        b_rows ? Layout::Normal : Layout::Transposed, g.m, g.n, g.k, g.a,
                        a_rows ? g.a_row : g.a_col, g.b, b_rows ? g.b_row : g.b_col, g.bias ? T{1} : T{0},
                        g.c, g.c_row});
}

// A grid over one product: slices of `rows` x `columns` of C. A remainder of less than 16 goes to the last
// slice, so that no slice becomes a vector, whose sums have another order.
struct Grid {
  int64_t rows, columns, down, across;
  Grid(int64_t m, int64_t n, int64_t r, int64_t c)
      : rows(r),
        columns(c),
        down(parts(m, r)),
        across(parts(n, c)) {}
  int64_t count() const { return down * across; }

 private:
  static int64_t parts(int64_t n, int64_t step) { return std::max<int64_t>(1, n / step + (n % step >= 16)); }
};

template <class T> GemmTask<T> slice(GemmTask<T> g, const Grid& grid, int64_t index) {
  const int64_t down = index / grid.across, across = index % grid.across;
  const int64_t i = down * grid.rows, j = across * grid.columns;
  g.m = down + 1 == grid.down ? g.m - i : grid.rows;
  g.n = across + 1 == grid.across ? g.n - j : grid.columns;
  g.a += i * g.a_row;
  g.b += j * g.b_col;
  g.c += i * g.c_row + j;
  if (g.bias) g.bias += j;
  return g;
}

int64_t parts_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

int64_t round_up(int64_t n, int64_t to) { return parts_of(n, to) * to; }

// The longer side is halved until a slice is small enough to share out, never below what keeps a BLAS busy.
template <class T> Grid blas_grid(const GemmTask<T>& g) {
  const double all = work(g);
  const double target = std::max(kBlasSlice, std::min(all / 16, 32e6));
  int64_t rows = g.m, columns = g.n;
  while (static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(g.k) > 1.5 * target) {
    if (std::max(rows, columns) < 64) break;
    if (columns >= rows) {
      columns = round_up((columns + 1) / 2, 16);
    } else {
      rows = round_up((rows + 1) / 2, 16);
    }
  }
  return Grid(g.m, g.n, rows, columns);
}

template <class T> Grid own_grid(const GemmTask<T>& g) {
  if (work(g) <= kChunkWork) return Grid(g.m, g.n, g.m, g.n);
  // A matrix times a vector is cut along the rows of the matrix only, at multiples of the kernels' blocks.
  if (g.n == 1) return Grid(g.m, 1, std::max<int64_t>(64, round_up(65536 / g.k, 64)), 1);
  if (g.m == 1) return Grid(1, g.n, 1, std::max<int64_t>(64, round_up(65536 / g.k, 64)));
  int64_t down = parts_of(g.m, kOwnRows), across = parts_of(g.n, kOwnColumns);
  while (down * across < kOwnSlices) {
    const int64_t rows = parts_of(g.m, down), columns = parts_of(g.n, across);
    if (rows > std::max(columns, kFewRows) || (columns <= kFewColumns && rows > 2 * kFewColumns)) {
      down *= 2;
    } else if (columns > kFewColumns) {
      across *= 2;
    } else {
      break;
    }
  }
  return Grid(g.m, g.n, round_up(parts_of(g.m, down), 16), round_up(parts_of(g.n, across), kFewColumns));
}

// With fused multiply-adds the own kernels were ahead of OpenBLAS at every size measured, up to 2048^3, and
// keep to torch's order of summation. Without, a BLAS that knows the processor is faster for all but small
// products.
template <class T> bool wants_blas(const GemmTask<T>& g) {
  static const bool plain = std::strcmp(gemm_kernels().isa, "baseline") == 0;
  if (!plain || g.m == 1 || g.n == 1 || g.k == 0 || work(g) <= kOwnWork) return false;
  return std::min({g.m, g.n, g.k}) >= 8 && blas_available();
}

// Copies of operands whose elements lie apart in both directions, for products that read them many times.
template <class T>
std::unique_ptr<T[]> copied(const T*& p, int64_t rows, int64_t columns, int64_t& row, int64_t& col) {
  std::unique_ptr<T[]> copy(new T[static_cast<size_t>(rows * columns)]);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) copy[static_cast<size_t>(i * columns + j)] = p[i * row + j * col];
  }
  p = copy.get();
  row = columns;
  col = 1;
  return copy;
}

template <class T> void run_blas_slices(GemmTask<T> g) {
  std::unique_ptr<T[]> a, b;
  if (!readable(g.m, g.k, g.a_row, g.a_col)) a = copied(g.a, g.m, g.k, g.a_row, g.a_col);
  if (!readable(g.k, g.n, g.b_row, g.b_col)) b = copied(g.b, g.k, g.n, g.b_row, g.b_col);
  const Grid grid = blas_grid(g);
  parallel_chunks(grid.count(), 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) run_blas(slice(g, grid, i));
  });
}

template <class T> void multiply_floats(const MatmulArgs& x) {
  Matrices<T> all = matrices<T>(x);
  const GemmTask<T>& g = all.first;
  if (g.m == 0 || g.n == 0 || all.batches == 0) return;
  all.first.past_caches =
      g.k == 1 && all.batches * g.m * g.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  if (wants_blas(g)) {
    for (int64_t i = 0; i < all.batches; ++i) run_blas_slices(all.at(i));
    return;
  }
  if (all.batches == 1 && work(g) <= kChunkWork) return run_own(g);  // far too small to be streamed
  const Grid grid = own_grid(g);
  const int64_t tasks = grid.count();
  const double task_work = work(g) / static_cast<double>(tasks);
  const int64_t chunk = std::max<int64_t>(1, static_cast<int64_t>(kChunkWork / task_work));
  parallel_chunks(all.batches * tasks, chunk, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) run_own(tasks == 1 ? all.at(i) : slice(all.at(i / tasks), grid, i % tasks));
    if (g.past_caches) end_stream();
  });
}

template <class T> void integer_row(const GemmTask<T>& g, int64_t i) {
  // Integers wrap around, as torch's do; only unsigned arithmetic may.
  using U = std::conditional_t<std::is_same_v<T, bool>, bool, std::make_unsigned<T>>;
  T* c = g.c + i * g.c_row;
  std::fill_n(c, g.n, T{0});
  for (int64_t p = 0; p < g.k; ++p) {
    const T a = g.a[i * g.a_row + p * g.a_col];
    const T* b = g.b + p * g.b_row;
    if constexpr (std::is_same_v<T, bool>) {
      for (int64_t j = 0; j < g.n; ++j) c[j] = c[j] || (a && b[j * g.b_col]);
    } else {
      using Unsigned = typename U::type;
      for (int64_t j = 0; j < g.n; ++j) {
        c[j] = static_cast<T>(static_cast<Unsigned>(c[j]) +
                              static_cast<Unsigned>(a) * static_cast<Unsigned>(b[j * g.b_col]));
      }
    }
  }
  if (!g.bias) return;
  for (int64_t j = 0; j < g.n; ++j) {
    if constexpr (std::is_same_v<T, bool>) {
      c[j] = c[j] || g.bias[j];
    } else {
      using Unsigned = typename U::type;
      c[j] = static_cast<T>(static_cast<Unsigned>(c[j]) + static_cast<Unsigned>(g.bias[j]));
    }
  }
}

template <class T> void multiply_integers(const MatmulArgs& x) {
  const Matrices<T> all = matrices<T>(x);
  const GemmTask<T>& g = all.first;
  if (g.m == 0 || g.n == 0 || all.batches == 0) return;
  const double row_work = work(g) / static_cast<double>(g.m);
  const int64_t chunk = std::max<int64_t>(1, static_cast<int64_t>(kChunkWork / row_work));
  parallel_chunks(all.batches * g.m, chunk, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) integer_row(all.at(i / g.m), i % g.m);
  });
}

}  // namespace

const GemmKernels& gemm_kernels() {
  static const GemmKernels& chosen = choose_kernels();
  return chosen;
}

void matmul(const MatmulArgs& x) {
  visit_dtype(x.dtype, [&]<class T>() {
    if constexpr (std::is_floating_point_v<T>) {
      multiply_floats<T>(x);
    } else {
      multiply_integers<T>(x);
    }
  });
}

}  // namespace pb
