// Interned dtype + shape + strides: "same signature" is a pointer comparison.
#pragma once
#include <cstdint>
#include <span>

#include "core/dtype.h"
#include "core/ref.h"

namespace pb {

inline constexpr int kMaxDims = 16;

// A short list of sizes or strides.
struct Dims {
  int n = 0;
  int64_t v[kMaxDims];

  Dims() = default;
  Dims(std::span<const int64_t> s) : n(static_cast<int>(s.size())) {
    for (int i = 0; i < n; ++i) v[i] = s[i];
  }
  int64_t& operator[](int i) { return v[i]; }
  int64_t operator[](int i) const { return v[i]; }
  void push(int64_t x) { v[n++] = x; }
  void insert(int at, int64_t x) {
    for (int i = n++; i > at; --i) v[i] = v[i - 1];
    v[at] = x;
  }
  void erase(int at) {
    --n;
    for (int i = at; i < n; ++i) v[i] = v[i + 1];
  }
  operator std::span<const int64_t>() const { return {v, static_cast<size_t>(n)}; }
  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.n != b.n) return false;
    for (int i = 0; i < a.n; ++i)
      if (a.v[i] != b.v[i]) return false;
    return true;
  }
};

class Meta {
 public:
  static Ref<Meta> intern(DType dtype, std::span<const int64_t> shape, std::span<const int64_t> strides);
  static Ref<Meta> contiguous(DType dtype, std::span<const int64_t> shape);

  DType dtype;
  uint8_t ndim;
  bool is_contiguous;  // row-major, axes of size 1 aside
  bool is_dense;       // every element of one block exactly once, in some order of the axes
  int64_t numel;

  const int64_t* shape_data() const { return dims_; }
  const int64_t* stride_data() const { return dims_ + ndim; }
  std::span<const int64_t> shape() const { return {dims_, ndim}; }
  std::span<const int64_t> strides() const { return {dims_ + ndim, ndim}; }
  int64_t size(int axis) const { return dims_[axis]; }
  int64_t stride(int axis) const { return dims_[ndim + axis]; }
  int64_t bytes() const {  // of a dense copy; throws where no machine could hold it
    int64_t b = 0;
    if (__builtin_mul_overflow(numel, size_of(dtype), &b)) too_large();
    return b;
  }
  // Elements from the lowest to one past the highest address, and the lowest offset (strides may be negative).
  void extent(int64_t& low, int64_t& high) const;

  Ref<Meta> with_dtype(DType d) const;

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) retire();
  }

  struct Statistics { int64_t live, retired; };
  static Statistics statistics();

 private:
  friend struct MetaTable;
  Meta() = default;
  void retire();
  [[noreturn]] void too_large() const;

  uint32_t refs_ = 0;
  uint64_t hash_ = 0;
  int64_t dims_[];  // ndim sizes, then ndim strides
};

Dims contiguous_strides(std::span<const int64_t> shape);
int64_t product(std::span<const int64_t> sizes);

}  // namespace pb
