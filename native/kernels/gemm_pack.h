// Copies of blocks of A and B in the order in which tiles read them. Include only from files compiled once
// per ISA.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

#include "kernels/gemm.h"
#include "kernels/gemm_tile.h"

namespace pb::PB_ISA {

// Columns of B that are packed together: with kBlockK rows they fill a part of the second cache (1 MB and
// more where there is AVX-512, 256 KB and more elsewhere) and serve all rows of A.
#if defined(__AVX512F__)
template <class T> inline constexpr int64_t kPackedColumns = 16 * kPanel<T>;
#else
template <class T> inline constexpr int64_t kPackedColumns = 8 * kPanel<T>;
#endif
inline constexpr int64_t kPackedRows = 112;  // of A, where it is packed
inline constexpr int64_t kPackedStep = 128;  // and the distance of its columns

template <class T> struct PackSpace {
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  using Memory = std::unique_ptr<T[], Free>;
  Memory columns, rows;

  static T* get(Memory& memory, int64_t size) {
    if (!memory) {
      const size_t bytes = sizeof(T) * static_cast<size_t>(size);
      memory.reset(static_cast<T*>(::operator new[](bytes, std::align_val_t{64}, std::nothrow)));
    }
    return memory.get();
  }
  // Null where there is no memory: the products then do without.
  T* for_columns() { return get(columns, kPackedColumns<T> * kBlockK); }
  T* for_rows() { return get(rows, kPackedStep * kBlockK); }
};

#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;  // GCC warns of the unmasked intrinsics' undefined operand
// Four elements of each of 16 columns: vector r holds those of columns r, r + 4, r + 8, r + 12.
inline __m512 four_of_columns(const float* b, int64_t col) {
  const __m512 low = _mm512_zextps128_ps512(_mm_loadu_ps(b));
  const __m512 two = _mm512_mask_broadcast_f32x4(low, 0x00f0, _mm_loadu_ps(b + 4 * col));
  const __m512 three = _mm512_mask_broadcast_f32x4(two, 0x0f00, _mm_loadu_ps(b + 8 * col));
  return _mm512_mask_broadcast_f32x4(three, 0xf000, _mm_loadu_ps(b + 12 * col));
}
// out[p * out_row + j] = b[j * b_col + p] for 4 x 16 elements.
inline void transpose(const float* b, int64_t b_col, float* out, int64_t out_row) {
  const __m512 r0 = four_of_columns(b, b_col), r1 = four_of_columns(b + b_col, b_col);
  const __m512 r2 = four_of_columns(b + 2 * b_col, b_col), r3 = four_of_columns(b + 3 * b_col, b_col);
  const __m512 s0 = _mm512_maskz_unpacklo_ps(kAll, r0, r1), s1 = _mm512_maskz_unpackhi_ps(kAll, r0, r1);
  const __m512 s2 = _mm512_maskz_unpacklo_ps(kAll, r2, r3), s3 = _mm512_maskz_unpackhi_ps(kAll, r2, r3);
  _mm512_storeu_ps(out, _mm512_maskz_shuffle_ps(kAll, s0, s2, 0x44));
  _mm512_storeu_ps(out + out_row, _mm512_maskz_shuffle_ps(kAll, s0, s2, 0xee));
  _mm512_storeu_ps(out + 2 * out_row, _mm512_maskz_shuffle_ps(kAll, s1, s3, 0x44));
  _mm512_storeu_ps(out + 3 * out_row, _mm512_maskz_shuffle_ps(kAll, s1, s3, 0xee));
}
inline constexpr int kTransposed = 16;
#elif defined(__AVX2__) && defined(__FMA__)
// Four elements of each of 8 columns: vector r holds those of columns r and r + 4.
inline __m256 four_of_columns(const float* b, int64_t col) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(b)), _mm_loadu_ps(b + 4 * col), 1);
}
// out[p * out_row + j] = b[j * b_col + p] for 4 x 8 elements.
inline void transpose(const float* b, int64_t b_col, float* out, int64_t out_row) {
  const __m256 r0 = four_of_columns(b, b_col), r1 = four_of_columns(b + b_col, b_col);
  const __m256 r2 = four_of_columns(b + 2 * b_col, b_col), r3 = four_of_columns(b + 3 * b_col, b_col);
  const __m256 s0 = _mm256_unpacklo_ps(r0, r1), s1 = _mm256_unpackhi_ps(r0, r1);
  const __m256 s2 = _mm256_unpacklo_ps(r2, r3), s3 = _mm256_unpackhi_ps(r2, r3);
  _mm256_storeu_ps(out, _mm256_shuffle_ps(s0, s2, 0x44));
  _mm256_storeu_ps(out + out_row, _mm256_shuffle_ps(s0, s2, 0xee));
  _mm256_storeu_ps(out + 2 * out_row, _mm256_shuffle_ps(s1, s3, 0x44));
  _mm256_storeu_ps(out + 3 * out_row, _mm256_shuffle_ps(s1, s3, 0xee));
}
inline constexpr int kTransposed = 8;
#else
inline void transpose(const float*, int64_t, float*, int64_t) {}
inline constexpr int kTransposed = 0;
#endif

// One panel: k rows of `columns` elements of B in rows of `width`, with zeros behind.
template <class T>
void pack_panel(const T* b, int64_t b_row, int64_t b_col, int64_t k, int columns, int width, T* out) {
  int64_t p = 0;
  if constexpr (std::is_same_v<T, float> && kTransposed != 0) {
    if (b_row == 1 && columns == width) {
      for (; p + 4 <= k; p += 4) {
        for (int j = 0; j < width; j += kTransposed) {
          transpose(b + p + j * b_col, b_col, out + p * width + j, width);
        }
      }
    }
  }
  if (b_col == 1 && columns == width) {
    for (int64_t q = p; q < k; ++q) {
      for (int j = 0; j < width; j += kWidth<T>) store(out + q * width + j, load(b + q * b_row + j));
    }
    return;
  }
  if (columns < width) std::memset(out + p * width, 0, sizeof(T) * static_cast<size_t>((k - p) * width));
  for (int j = 0; j < columns; ++j) {
    const T* column = b + j * b_col;
    for (int64_t q = p; q < k; ++q) out[q * width + j] = column[q * b_row];
  }
}

// k rows of `columns` elements of B, panel after panel.
template <class T>
void pack_columns(const T* b, int64_t b_row, int64_t b_col, int64_t k, int64_t columns, T* out) {
  constexpr int W = kWidth<T>, P = kPanel<T>;
  const int64_t whole = columns / P * P;
  if (b_col == 1) {
    // Row by row, as memory lies.
    for (int64_t p = 0; p < k; ++p) {
      const T* from = b + p * b_row;
      T* to = out + p * P;
      for (int64_t j = 0; j < whole; j += P, to += k * P) {
        store(to, load(from + j));
        store(to + W, load(from + j + W));
      }
    }
  } else {
    for (int64_t j = 0; j < whole; j += P) pack_panel(b + j * b_col, b_row, b_col, k, P, P, out + j * k);
  }
  const int left = static_cast<int>(columns - whole);
  if (left > 0) { pack_panel(b + whole * b_col, b_row, b_col, k, left, left > W ? P : W, out + whole * k); }
}

// Rows of A, column after column.
template <class T> void pack_rows(const T* a, int64_t a_row, int64_t a_col, int64_t k, int64_t rows, T* out) {
  for (int64_t p = 0; p < k; ++p, a += a_col, out += kPackedStep) {
    if (a_row == 1) {
      std::memcpy(out, a, sizeof(T) * static_cast<size_t>(rows));
    } else {
      for (int64_t i = 0; i < rows; ++i) out[i] = a[i * a_row];
    }
  }
}

}  // namespace pb::PB_ISA
