#include "kernels/creation.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "runtime/threads.h"

namespace pb {
namespace {

// Whether i * step has no rounding error for every i < 2^24, so that a fused multiply-add is a plain one.
bool multiplies_exactly(double step, int64_t n) {
  return n <= (int64_t{1} << 24) && static_cast<double>(static_cast<float>(step)) == step &&
         std::abs(step) > 1e-30 && std::abs(step) < 1e30;
}

// torch fills pairs of 32-byte vectors from the start: the first element of a vector is rounded, the others
// are steps away from it. What does not fill a pair comes straight from the start.
template <class T> void arange_float(double start, double step, int64_t n, T* out) {
  constexpr int64_t kLanes = 32 / static_cast<int64_t>(sizeof(T));
  const bool exact = multiplies_exactly(step, n);
  auto at = [=](double base, int64_t i) {
    const double k = static_cast<double>(i);
    return static_cast<T>(exact ? base + k * step : std::fma(k, step, base));
  };
  const int64_t vectors = n / (2 * kLanes) * 2;
  parallel_chunks(vectors, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      const double base = static_cast<double>(at(start, v * kLanes));
      for (int64_t k = 0; k < kLanes; ++k) out[v * kLanes + k] = at(base, k);
    }
  });
  for (int64_t i = vectors * kLanes; i < n; ++i) out[i] = at(start, i);
}

template <class T> void arange_int(int64_t start, int64_t step, int64_t n, T* out) {
  // Unsigned: the last step past the end may overflow.
  for (int64_t i = 0; i < n; ++i)
    out[i] =
        static_cast<T>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
}

}  // namespace

int64_t arange_length(double start, double end, double step) {
  return std::max(int64_t{0}, static_cast<int64_t>(std::ceil((end - start) / step)));
}

int64_t arange_length(int64_t start, int64_t end, int64_t step) {
  const bool up = step > 0;
  if (up ? end <= start : end >= start) return 0;
  const uint64_t distance = up ? static_cast<uint64_t>(end) - static_cast<uint64_t>(start)
                               : static_cast<uint64_t>(start) - static_cast<uint64_t>(end);
  const uint64_t by = up ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  return static_cast<int64_t>((distance - 1) / by + 1);
}

bool arange(DType dtype, double start, double step, int64_t n, void* out) {
  return visit_dtype(dtype, [&]<class T>() {
    if constexpr (std::is_floating_point_v<T>) arange_float(start, step, n, static_cast<T*>(out));
    else arange_int(static_cast<int64_t>(start), static_cast<int64_t>(step), n, static_cast<T*>(out));
  });
}

bool arange(DType dtype, int64_t start, int64_t step, int64_t n, void* out) {
  if (is_float(dtype)) return arange(dtype, static_cast<double>(start), static_cast<double>(step), n, out);
  return visit_dtype(dtype, [&]<class T>() { arange_int(start, step, n, static_cast<T*>(out)); });
}

bool linspace(DType dtype, double start, double end, int64_t n, void* out) {
  return visit_dtype(dtype, [&]<class T>() {
    using Step = std::conditional_t<std::is_floating_point_v<T>, T, double>;
    T* to = static_cast<T*>(out);
    const T first = static_cast<T>(start), last = static_cast<T>(end);
    if (n == 1) *to = first;
    if (n < 2) return;
    const Step a = static_cast<Step>(first), b = static_cast<Step>(last),
               step = (b - a) / static_cast<Step>(n - 1);
    for (int64_t i = 0; i < n / 2; ++i) to[i] = static_cast<T>(std::fma(static_cast<Step>(i), step, a));
    for (int64_t i = n / 2; i < n; ++i)
      to[i] = static_cast<T>(std::fma(-step, static_cast<Step>(n - 1 - i), b));
  });
}

bool logspace(DType dtype, double start, double end, int64_t n, double base, void* out) {
  return visit_dtype(dtype, [&]<class T>() {
    using Step = std::conditional_t<std::is_floating_point_v<T>, T, double>;
    T* to = static_cast<T*>(out);
    const Step a = static_cast<Step>(static_cast<T>(start)), b = static_cast<Step>(static_cast<T>(end));
    auto power = [=](Step exponent) { return static_cast<T>(std::pow(base, static_cast<double>(exponent))); };
    if (n == 1) *to = power(a);
    if (n < 2) return;
    const Step step = (b - a) / static_cast<Step>(n - 1);
    for (int64_t i = 0; i < n / 2; ++i) to[i] = power(a + step * static_cast<Step>(i));
    for (int64_t i = n / 2; i < n; ++i) to[i] = power(b - step * static_cast<Step>(n - 1 - i));
  });
}

bool eye(DType dtype, int64_t rows, int64_t columns, void* out) {
  return visit_dtype(dtype, [&]<class T>() {
    T* to = static_cast<T*>(out);
    std::fill_n(to, rows * columns, T(0));
    for (int64_t i = 0; i < std::min(rows, columns); ++i) to[i * (columns + 1)] = T(1);
  });
}

namespace {

// The columns [from, to) of row r that belong to the triangle.
struct Span {
  int64_t from, to;
  Span(bool lower, int64_t r, int64_t columns, int64_t offset)
      : from(lower ? 0 : std::clamp(r + offset, int64_t{0}, columns)),
        to(lower ? std::clamp(r + offset + 1, int64_t{0}, columns) : columns) {}
};

int64_t triangle_count(bool lower, int64_t rows, int64_t columns, int64_t offset) {
  int64_t n = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const Span s(lower, r, columns, offset);
    n += s.to - s.from;
  }
  return n;
}

void triangle_indices(bool lower, int64_t rows, int64_t columns, int64_t offset, int64_t* out) {
  int64_t* column = out + triangle_count(lower, rows, columns, offset);
  for (int64_t r = 0; r < rows; ++r) {
    const Span s(lower, r, columns, offset);
    for (int64_t c = s.from; c < s.to; ++c) {
      *out++ = r;
      *column++ = c;
    }
  }
}

}  // namespace

int64_t tril_indices_count(int64_t r, int64_t c, int64_t offset) {
  return triangle_count(true, r, c, offset);
}
int64_t triu_indices_count(int64_t r, int64_t c, int64_t offset) {
  return triangle_count(false, r, c, offset);
}
void tril_indices(int64_t r, int64_t c, int64_t offset, int64_t* out) {
  triangle_indices(true, r, c, offset, out);
}
void triu_indices(int64_t r, int64_t c, int64_t offset, int64_t* out) {
  triangle_indices(false, r, c, offset, out);
}

}  // namespace pb
