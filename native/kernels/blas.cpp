#include "kernels/blas.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>

namespace pb {
namespace {

constexpr int kRowMajor = 101;

template <class T> using Gemm = void (*)(int order, int ta, int tb, int64_t m, int64_t n, int64_t k, T alpha,
                                         const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c,
                                         int64_t ldc);

struct Library {
  Gemm<float> sgemm = nullptr;
  Gemm<double> dgemm = nullptr;
  std::string status;
};

std::mutex path_mutex;

std::string& path() {
  static std::string p;
  return p;
}

template <class F> bool find(void* handle, const char* symbol, F& out) {
  out = reinterpret_cast<F>(dlsym(handle, symbol));
  return out != nullptr;
}

// A library that starts its own threads when it is loaded would keep a core busy beside ours.
void* open_alone(const std::string& file) {
  constexpr const char* kThreads = "OPENBLAS_NUM_THREADS";
  const char* given = std::getenv(kThreads);
  const std::optional<std::string> before = given ? std::optional<std::string>(given) : std::nullopt;
  setenv(kThreads, "1", 1);
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (before) setenv(kThreads, before->c_str(), 1);
  else unsetenv(kThreads);
  return handle;
}

Library load() {
  Library lib;
  std::string file;
  {
    const std::lock_guard lock(path_mutex);
    file = path();
  }
  if (file.empty()) {
    lib.status = "own kernels (no BLAS library was named)";
    return lib;
  }
  // RTLD_LOCAL: NumPy carries a copy with the same symbols, and neither must see the other's.
  void* handle = open_alone(file);
  if (!handle) {
    const char* why = dlerror();
    lib.status = "own kernels (the BLAS library could not be loaded: " + std::string(why ? why : file) + ")";
    return lib;
  }
  void (*set_threads)(int) = nullptr;
  char* (*core_name)() = nullptr;
  const bool complete = find(handle, "scipy_cblas_sgemm64_", lib.sgemm) &&
                        find(handle, "scipy_cblas_dgemm64_", lib.dgemm) &&
                        find(handle, "scipy_openblas_set_num_threads64_", set_threads);
  if (!complete) {
    lib = Library{};
    lib.status = "own kernels (" + file + " lacks the symbols of scipy-openblas64)";
    return lib;
  }
  set_threads(1);
  lib.status = "OpenBLAS";
  if (find(handle, "scipy_openblas_get_corename64_", core_name)) lib.status += std::string(" ") + core_name();
  lib.status += " (" + file + ")";
  return lib;
}

const Library& library() {
  static const Library lib = load();
  return lib;
}

template <class T> void call(Gemm<T> f, const BlasGemm<T>& g) {
  f(kRowMajor, static_cast<int>(g.a_layout), static_cast<int>(g.b_layout), g.m, g.n, g.k, T{1}, g.a, g.lda,
    g.b, g.ldb, g.beta, g.c, g.ldc);
}

}  // namespace

void set_blas_path(const char* p) {
  const std::lock_guard lock(path_mutex);
  path() = p ? p : "";
}

const char* blas_status() { return library().status.c_str(); }

bool blas_available() { return library().sgemm != nullptr; }

void blas_gemm(const BlasGemm<float>& g) { call(library().sgemm, g); }

void blas_gemm(const BlasGemm<double>& g) { call(library().dgemm, g); }

}  // namespace pb
