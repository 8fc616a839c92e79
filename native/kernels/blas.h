// OpenBLAS, found and loaded at the first product that wants it. Without it the library's own kernels serve.
#pragma once
#include <cstdint>

namespace pb {

// Where the shared library lies. Set by Python before the first product; later calls have no effect.
void set_blas_path(const char* path);

// One line for people: which library serves large products, or why none does. Loads it if need be.
const char* blas_status();

enum class Layout : int { Normal = 111, Transposed = 112 };  // CBLAS's numbers

// C = A B + beta C, row-major, C of m x n. The caller holds the threads: one call runs on one.
template <class T> struct BlasGemm {
  Layout a_layout, b_layout;
  int64_t m, n, k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T beta;
  T* c;
  int64_t ldc;
};

bool blas_available();                       // loads the library at the first call
void blas_gemm(const BlasGemm<float>& g);    // only where blas_available()
void blas_gemm(const BlasGemm<double>& g);

}  // namespace pb
