// Indices drawn with weights.
#include <cmath>
#include <vector>

#include "kernels/draws.h"

namespace pb {
namespace {

template <class T>
void with_replacement(Generator& g, const T* weights, int64_t n, int64_t samples, int64_t* out) {
  std::vector<T> reached(static_cast<size_t>(n));
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!(weights[i] >= 0)) {
      refuse("invalid multinomial distribution (encountering probability entry < 0)");
    }
    if (!std::isfinite(weights[i])) {
      refuse("invalid multinomial distribution (encountering probability entry = infinity or NaN)");
    }
    sum += weights[i];
    reached[i] = sum;
  }
  if (!(sum > 0)) refuse("invalid multinomial distribution (sum of probabilities <= 0)");
  for (T& r : reached) r /= sum;
  reached.back() = 1;
  for (int64_t i = 0; i < samples; ++i) {
    const double u = unit<double>(g);
    const auto found = std::partition_point(reached.begin(), reached.end(), [u](T r) { return r < u; });
    out[i] = found - reached.begin();
  }
}
// The samples largest of weight / exponential, largest first.
template <class T> void race(const T* weights, const T* times, int64_t n, int64_t samples, int64_t* out) {
  using Runner = std::pair<T, int64_t>;
  std::vector<Runner> runners(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) runners[i] = {weights[i] / times[i], i};
  const auto faster = [](const Runner& a, const Runner& b) {
    return (std::isnan(a.first) && !std::isnan(b.first)) || a.first > b.first;
  };
  const auto begin = runners.begin();
  const auto end = begin + samples;
  // The order of several zero weights depends on the algorithm, so these are the ones torch chooses.
  if (samples == 1 || samples * 64 <= n) {
    std::partial_sort(begin, end, runners.end(), faster);
  } else {
    std::nth_element(begin, end - 1, runners.end(), faster);
    std::sort(begin, end - 1, faster);
  }
  for (int64_t i = 0; i < samples; ++i) out[i] = runners[i].second;
}

template <class T> void check_weights(const T* weights, int64_t rows, int64_t categories) {
  const int64_t n = rows * categories;
  const bool fine = std::all_of(weights, weights + n, [](T w) { return w >= 0 && std::isfinite(w); });
  if (!fine) refuse("probability tensor contains either `inf`, `nan` or element < 0");
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = weights + r * categories;
    if (std::all_of(row, row + categories, [](T w) { return w == 0; })) {
      refuse("invalid multinomial distribution (sum of probabilities <= 0)");
    }
  }
}
}  // namespace

void multinomial(Generator& g, DType dtype, const void* weights, int64_t rows, int64_t categories,
                 int64_t samples, bool replacement, int64_t* out) {
  if (!is_float(dtype)) {
    refuse("multinomial only supports floating-point dtypes for input, got: ", info(dtype).scalar_name);
  }
  if (samples <= 0) refuse("cannot sample n_sample <= 0 samples");
  if (!replacement && samples > categories) {
    refuse("cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  }
  if (categories > int64_t{1} << 24) refuse("number of categories cannot exceed 2^24");
  if (rows == 0) return;
  if (categories == 0) refuse("invalid multinomial distribution (sum of probabilities <= 0)");
  visit_float("multinomial", dtype, [&]<class T>() {
    const auto* w = static_cast<const T*>(weights);
    std::vector<T> times;
    if (!replacement || samples == 1) {
      check_weights(w, rows, categories);
      times.resize(static_cast<size_t>(rows * categories));
      fill_exponential(g, dtype, times.data(), rows * categories);
    }
    for (int64_t r = 0; r < rows; ++r, w += categories, out += samples) {
      if (times.empty()) with_replacement(g, w, categories, samples, out);
      else race(w, times.data() + r * categories, categories, samples, out);
    }
  });
}

}  // namespace pb
