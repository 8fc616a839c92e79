#include "kernels/copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/walk.h"

namespace pb {
namespace {

// The axes in the order of dst's memory, all of dst's strides positive: how an axis is numbered does not
// matter to a copy.
Walk<2> copy_walk(const View& dst, const View& src) {
  Walk<2> w;
  for (int a = 0; a < dst.ndim; ++a) {
    const int64_t n = dst.shape[a];
    int64_t d = dst.strides[a], s = src.strides[a];
    if (n == 1) continue;
    if (d < 0 || (d == 0 && s < 0)) {
      w.at[0] += d * (n - 1);
      w.at[1] += s * (n - 1);
      d = -d;
      s = -s;
    }
    w.add(n, d, s);
  }
  for (int i = 1; i < w.ndim; ++i) {
    for (int j = i; j > 0; --j) {
      const bool later = w.stride[0][j - 1] < w.stride[0][j] ||
                         (w.stride[0][j - 1] == w.stride[0][j] && w.stride[1][j - 1] < w.stride[1][j]);
      if (!later) break;
      w.swap_axes(j - 1, j);
    }
  }
  w.merge();
  return w;
}

template <class T> void copy_row(T* dst, int64_t ds, const T* src, int64_t ss, int64_t n) {
  if (ds == 1 && ss == 1) {
    std::memcpy(static_cast<void*>(dst), src, static_cast<size_t>(n) * sizeof(T));
  } else if (ds == 1 && ss == 0) {
    const T value = *src;  // a copy: for all the compiler knows, dst overlaps src
    std::fill_n(dst, n, value);
  } else {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {  // loads before stores, for the same reason
      const T a = src[i * ss], b = src[(i + 1) * ss], c = src[(i + 2) * ss], d = src[(i + 3) * ss];
      dst[i * ds] = a;
      dst[(i + 1) * ds] = b;
      dst[(i + 2) * ds] = c;
      dst[(i + 3) * ds] = d;
    }
    for (; i < n; ++i) dst[i * ds] = src[i * ss];
  }
}

// Vectors of four 32-bit lanes in the compiler's portable spelling.
typedef uint32_t Lanes __attribute__((vector_size(16), may_alias, aligned(4)));
typedef uint32_t Pick __attribute__((vector_size(16)));

inline void transpose4(const Raw4* in, int64_t in_stride, Raw4* out, int64_t out_stride) {
  const Pick a = *reinterpret_cast<const Lanes*>(in), b = *reinterpret_cast<const Lanes*>(in + in_stride);
  const Pick c = *reinterpret_cast<const Lanes*>(in + 2 * in_stride);
  const Pick d = *reinterpret_cast<const Lanes*>(in + 3 * in_stride);
  const Pick ab_low = __builtin_shuffle(a, b, Pick{0, 4, 1, 5}),
             ab_high = __builtin_shuffle(a, b, Pick{2, 6, 3, 7});
  const Pick cd_low = __builtin_shuffle(c, d, Pick{0, 4, 1, 5}),
             cd_high = __builtin_shuffle(c, d, Pick{2, 6, 3, 7});
  *reinterpret_cast<Lanes*>(out) = __builtin_shuffle(ab_low, cd_low, Pick{0, 1, 4, 5});
  *reinterpret_cast<Lanes*>(out + out_stride) = __builtin_shuffle(ab_low, cd_low, Pick{2, 3, 6, 7});
  *reinterpret_cast<Lanes*>(out + 2 * out_stride) = __builtin_shuffle(ab_high, cd_high, Pick{0, 1, 4, 5});
  *reinterpret_cast<Lanes*>(out + 3 * out_stride) = __builtin_shuffle(ab_high, cd_high, Pick{2, 3, 6, 7});
}

typedef uint64_t WideLanes __attribute__((vector_size(16), may_alias, aligned(8)));
typedef uint64_t WidePick __attribute__((vector_size(16)));

inline void transpose2(const Raw8* in, int64_t in_stride, Raw8* out, int64_t out_stride) {
  const WidePick a = *reinterpret_cast<const WideLanes*>(in),
                 b = *reinterpret_cast<const WideLanes*>(in + in_stride);
  *reinterpret_cast<WideLanes*>(out) = __builtin_shuffle(a, b, WidePick{0, 2});
  *reinterpret_cast<WideLanes*>(out + out_stride) = __builtin_shuffle(a, b, WidePick{1, 3});
}

inline void transpose_block(const Raw4* in, int64_t in_stride, Raw4* out, int64_t out_stride) {
  transpose4(in, in_stride, out, out_stride);
}
inline void transpose_block(const Raw8* in, int64_t in_stride, Raw8* out, int64_t out_stride) {
  for (int64_t c = 0; c < 4; c += 2)
    for (int64_t r = 0; r < 4; r += 2)
      transpose2(in + c * in_stride + r, in_stride, out + r * out_stride + c, out_stride);
}

// A tile goes through a buffer in L1, so that every cache line of src and of dst is touched once: with
// strides that are powers of two the lines of a tile fall into the same few sets and evict each other.
template <class T> struct Tile {
  static constexpr int64_t kSide = sizeof(T) == 8 ? 32 : 64;
  alignas(64) T buffer[kSide * kSide];

  // dst[r, c] = src[c, r] for r < rows, c < columns; both have unit stride along their second axis.
  void move(T* dst, int64_t dst_stride, const T* src, int64_t src_stride, int64_t rows, int64_t columns) {
    int64_t c = 0;
    if constexpr (sizeof(T) >= 4) {
      for (; c + 4 <= columns; c += 4) {
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4)
          transpose_block(src + c * src_stride + r, src_stride, buffer + r * kSide + c, kSide);
        for (; r < rows; ++r)
          for (int64_t k = c; k < c + 4; ++k) buffer[r * kSide + k] = src[k * src_stride + r];
      }
    }
    for (; c < columns; ++c)
      for (int64_t r = 0; r < rows; ++r) buffer[r * kSide + c] = src[c * src_stride + r];
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<void*>(dst + r * dst_stride), buffer + r * kSide,
                  static_cast<size_t>(columns) * sizeof(T));
  }
};

// The last two axes swap: dst has unit stride along the last, src along the one before.
template <class T> void copy_transposed(const Walk<2>& w, T* dst, const T* src) {
  constexpr int64_t side = Tile<T>::kSide;
  const int64_t rows = w.shape[w.ndim - 2], columns = w.inner();
  const int64_t ds = w.stride[0][w.ndim - 2], ss = w.inner_stride(1);
  const int64_t bands = (rows + side - 1) / side;
  Walk<2> planes = w;
  planes.ndim -= 2;
  planes.add(1, int64_t{0}, int64_t{0});
  const int64_t band_size = side * columns;
  const int64_t per_task = band_size >= kMoveGrain ? 1 : (kMoveGrain + band_size - 1) / band_size;
  parallel_chunks(row_count(planes) * bands, per_task, [&](int64_t begin, int64_t end) {
    Tile<T> tile;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / bands, r = (i % bands) * side;
      walk_rows(planes, plane, plane + 1, [&](const int64_t* at, int64_t) {
        for (int64_t c = 0; c < columns; c += side)
          tile.move(dst + at[0] + r * ds + c, ds, src + at[1] + c * ss + r, ss, std::min(side, rows - r),
                    std::min(side, columns - c));
      });
    }
  });
}

}  // namespace

void strided_copy(const View& dst, const View& src) {
  Walk<2> w = copy_walk(dst, src);
  if (w.count() == 0) return;
  // Where src runs along another axis than dst, bring that axis next to the last.
  int swapped = -1;
  if (w.inner_stride(0) == 1 && w.inner_stride(1) != 1 && w.inner_stride(1) != 0 && w.inner() >= 4)
    for (int a = 0; a + 1 < w.ndim; ++a)
      if (w.stride[1][a] == 1 && w.shape[a] >= 4) swapped = a;
  for (int a = swapped; a >= 0 && a + 2 < w.ndim; ++a) w.swap_axes(a, a + 1);
  visit_size(dst.dtype, [&]<class T>() {
    T* d = data_of<T>(dst);
    const T* s = data_of<T>(src);
    if (swapped >= 0) return copy_transposed<T>(w, d, s);
    const int64_t ds = w.inner_stride(0), ss = w.inner_stride(1);
    walk_parallel(w, [=](const int64_t* at, int64_t n) { copy_row(d + at[0], ds, s + at[1], ss, n); });
  });
}

void fill(const View& dst, const void* scalar) {
  const int64_t zeros[kMaxAxes] = {};
  uint64_t held = 0;  // the scalar may lie inside dst
  std::memcpy(&held, scalar, static_cast<size_t>(size_of(dst.dtype)));
  strided_copy(dst, View{&held, dst.dtype, dst.ndim, dst.shape, zeros});
}

}  // namespace pb
