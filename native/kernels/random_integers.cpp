// Whole numbers: ranges, coins and permutations.
#include <bit>
#include <limits>

#include "kernels/draws.h"

namespace pb {
namespace {

// The end of random_(): the largest value of an integer type, the last gapless integer of a float type.
template <class T> constexpr int64_t last_value() {
  if constexpr (std::is_floating_point_v<T>) return int64_t{1} << std::numeric_limits<T>::digits;
  else return static_cast<int64_t>(std::numeric_limits<T>::max());
}

template <class T> T integer(uint64_t wrapped) { return static_cast<T>(static_cast<int64_t>(wrapped)); }

template <class T> void fill_range(Generator& g, T* out, int64_t n, uint64_t range, int64_t low) {
  const auto shift = static_cast<uint64_t>(low);
  if (range >= uint64_t{1} << 28) {
    for (int64_t i = 0; i < n; ++i) out[i] = integer<T>(g.random64() % range + shift);
    return;
  }
  const auto small = static_cast<uint32_t>(range);
  for (int64_t i = 0; i < n; ++i) out[i] = integer<T>(g.random() % small + shift);
}

template <class T> void check_range(int64_t low, int64_t last) {
  if constexpr (!std::is_floating_point_v<T>) {
    constexpr auto kLeast = static_cast<int64_t>(std::numeric_limits<T>::min());
    constexpr int64_t kMost = last_value<T>();
    const char* name = c_name(dtype_of<T>());
    if (low < kLeast || low > kMost) refuse("from is out of bounds for ", name);
    if (last < kLeast || last > kMost) refuse("to - 1 is out of bounds for ", name);
  }
}

// Integers of n bits lie 2^(n - digits) apart in a float type.
template <class T> int64_t spacing(int64_t value) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  return int64_t{1} << (std::bit_width(magnitude) - std::numeric_limits<T>::digits);
}

template <class T> int64_t rounded_through(int64_t value) {
  const T v = static_cast<T>(value);
  return v >= T(0x1p63) ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(v);
}

// Where a float type has gaps, torch moves the ends of the range inwards.
template <class T> int64_t move_low(int64_t low) {
  if constexpr (std::is_floating_point_v<T>) {
    const auto next = static_cast<int64_t>(static_cast<uint64_t>(low) + 1);
    const int64_t rounded = rounded_through<T>(next);
    if (rounded < low) return rounded + spacing<T>(next);
  }
  return low;
}
template <class T> int64_t move_high(int64_t high) {
  if constexpr (std::is_floating_point_v<T>) {
    const int64_t rounded = rounded_through<T>(high - 1);
    if (rounded >= high) return rounded - spacing<T>(high - 1);
  }
  return high;
}

template <class P, class T> void bernoulli_each(Generator& g, T* out, int64_t n, const P* p) {
  for (int64_t i = 0; i < n; ++i) {
    if (!(p[i] >= 0 && p[i] <= 1)) {
      refuse("Expected p_in >= 0 && p_in <= 1 to be true, but got false.\n",
             "bernoulli: every probability must lie in [0, 1]; element ", i, " is ", p[i]);
    }
    out[i] = static_cast<T>(unit<P>(g) < p[i]);
  }
}

template <class T> void shuffle(Generator& g, T* out, int64_t n) {
  // From here on 32 bits would be visibly uneven: torch draws 64 and builds the permutation inside out.
  constexpr int64_t kWideFrom = std::numeric_limits<uint32_t>::max() / 20;
  if (n >= kWideFrom) {
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<int64_t>(g.random64() % static_cast<uint64_t>(i + 1));
      out[i] = static_cast<T>(i);
      std::swap(out[i], out[at]);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(i);
  for (int64_t i = 0; i + 1 < n; ++i) {
    std::swap(out[i], out[i + static_cast<int64_t>(g.random() % static_cast<uint32_t>(n - i))]);
  }
}

}  // namespace

void fill_randint(Generator& g, DType dtype, void* out, int64_t n, int64_t low, int64_t high) {
  if (low >= high) {
    refuse("random_ expects 'from' to be less than 'to', but got from=", low, " >= to=", high);
  }
  visit_any("random_from_to_kernel_cpu", dtype, [&]<class T>() {
    check_range<T>(low, high - 1);
    const int64_t first = move_low<T>(low);
    const int64_t end = move_high<T>(high);
    if (first >= end) {
      refuse("random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from=",
             first, " >= to=", end);
    }
    fill_range(g, static_cast<T*>(out), n, static_cast<uint64_t>(end) - static_cast<uint64_t>(first), first);
  });
}

void fill_randint_from(Generator& g, DType dtype, void* out, int64_t n, int64_t low) {
  visit_any("random_from_to_kernel_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    if (low == std::numeric_limits<int64_t>::min()) {
      if constexpr (!std::is_floating_point_v<T> && !std::is_same_v<T, int64_t>) {
        refuse("random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16");
      }
      for (int64_t i = 0; i < n; ++i) x[i] = integer<T>(g.random64());
      return;
    }
    constexpr int64_t kLast = last_value<T>();
    const int64_t first = move_low<T>(low);
    if (std::is_floating_point_v<T> && first >= kLast) {
      refuse(
          "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted "
          "to dtype, but got from=",
          first, " > to_inc=", kLast);
    }
    check_range<T>(first, kLast);
    fill_range(g, x, n, static_cast<uint64_t>(kLast) - static_cast<uint64_t>(first) + 1, first);
  });
}

void fill_random(Generator& g, DType dtype, void* out, int64_t n) {
  visit_any("random_kernel_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    constexpr uint64_t kRange = static_cast<uint64_t>(last_value<T>()) + 1;
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (sizeof(T) == 8) x[i] = integer<T>(g.random64() % kRange);
      else x[i] = integer<T>(g.random() % kRange);
    }
  });
}

bool randint_is_exact(DType dtype, int64_t low, int64_t high) {
  const int digits = dtype == DType::Float32 ? 24 : dtype == DType::Float64 ? 53 : 0;
  if (digits == 0) return true;
  const int64_t most = int64_t{1} << digits;
  return low >= -most && high - 1 <= most;
}

void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, double p) {
  if (!(p >= 0 && p <= 1)) refuse("bernoulli_ expects p to be in [0, 1], but got p=", p);
  visit_any("bernoulli_scalar_cpu_", dtype,
            [&]<class T>() { fill_from_units(g, static_cast<T*>(out), n, [=](double u) { return u < p; }); });
}

void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, DType p_dtype, const void* p) {
  visit_any("bernoulli_tensor_cpu_self_", dtype, [&]<class T>() {
    visit_float("bernoulli_tensor_cpu_p_", p_dtype,
                [&]<class P>() { bernoulli_each(g, static_cast<T*>(out), n, static_cast<const P*>(p)); });
  });
}

bool are_probabilities(DType dtype, const void* p, int64_t n) {
  bool fine = true;
  visit_any("lt_cpu", dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) return;
    else {
      const T* x = static_cast<const T*>(p);
      bool outside = false;
      for (int64_t i = 0; i < n; ++i) outside |= (x[i] < T{0}) | (x[i] > T{1});
      fine = !outside;
    }
  });
  return fine;
}

void fill_randperm(Generator& g, DType dtype, void* out, int64_t n) {
  if (n < 0) refuse("Trying to create tensor with negative dimension ", n, ": [", n, "]");
  visit_any("randperm", dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) {
      not_implemented("randperm", dtype);
    } else {
      if (n > 0 && n - 1 > last_value<T>()) {
        if constexpr (std::is_floating_point_v<T>) {
          refuse("n cannot be greater than 2^", std::numeric_limits<T>::digits, "+1 for ",
                 info(dtype).scalar_name, " type.");
        }
        refuse("value cannot be converted to type ", info(dtype).name, "_t without overflow");
      }
      shuffle(g, static_cast<T*>(out), n);
    }
  });
}

}  // namespace pb
