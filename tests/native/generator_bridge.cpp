// A C interface over the random fills, so that a Python program can compare them with another library.
#include <cstring>
#include <string>

#include "core/error.h"
#include "kernels/random.h"

namespace {

thread_local std::string last_error;

template <class F> int guarded(F&& f) {
  try {
    f();
    return 0;
  } catch (const pb::Error& e) {
    last_error = e.what();
    return 1 + static_cast<int>(e.kind());
  }
}

pb::DType dtype(int d) { return static_cast<pb::DType>(d); }
pb::Generator& g() { return pb::default_generator(); }

}  // namespace

extern "C" {

const char* gen_error() { return last_error.c_str(); }
void gen_seed(uint64_t seed) { g().manual_seed(seed); }
uint64_t gen_reseed() { return g().seed(); }
uint64_t gen_initial_seed() { return g().initial_seed(); }
uint32_t gen_random() { return g().random(); }
uint64_t gen_random64() { return g().random64(); }
void gen_draw(uint32_t* out, int64_t n) { g().draw(out, n); }
void gen_get_state(uint8_t* out) {
  const auto state = g().get_state();
  std::memcpy(out, state.data(), state.size());
}
int gen_set_state(const uint8_t* bytes, int64_t size) {
  return guarded([&] { g().set_state(bytes, static_cast<size_t>(size)); });
}
int gen_uniform(int d, void* out, int64_t n, double a, double b) {
  return guarded([&] { pb::fill_uniform(g(), dtype(d), out, n, a, b); });
}
int gen_normal(int d, void* out, int64_t n, double a, double b) {
  return guarded([&] { pb::fill_normal(g(), dtype(d), out, n, a, b); });
}
int gen_normal_one_by_one(int d, void* out, int64_t n, double a, double b) {
  return guarded([&] { pb::fill_normal_one_by_one(g(), dtype(d), out, n, a, b); });
}
int gen_randint(int d, void* out, int64_t n, int64_t low, int64_t high) {
  return guarded([&] { pb::fill_randint(g(), dtype(d), out, n, low, high); });
}
int gen_randint_from(int d, void* out, int64_t n, int64_t low) {
  return guarded([&] { pb::fill_randint_from(g(), dtype(d), out, n, low); });
}
int gen_random_full(int d, void* out, int64_t n) {
  return guarded([&] { pb::fill_random(g(), dtype(d), out, n); });
}
int gen_bernoulli(int d, void* out, int64_t n, double p) {
  return guarded([&] { pb::fill_bernoulli(g(), dtype(d), out, n, p); });
}
int gen_bernoulli_tensor(int d, void* out, int64_t n, int p_dtype, const void* p) {
  return guarded([&] { pb::fill_bernoulli(g(), dtype(d), out, n, dtype(p_dtype), p); });
}
int gen_randperm(int d, void* out, int64_t n) {
  return guarded([&] { pb::fill_randperm(g(), dtype(d), out, n); });
}
int gen_exponential(int d, void* out, int64_t n, double lambda) {
  return guarded([&] { pb::fill_exponential(g(), dtype(d), out, n, lambda); });
}
int gen_geometric(int d, void* out, int64_t n, double p) {
  return guarded([&] { pb::fill_geometric(g(), dtype(d), out, n, p); });
}
int gen_cauchy(int d, void* out, int64_t n, double a, double b) {
  return guarded([&] { pb::fill_cauchy(g(), dtype(d), out, n, a, b); });
}
int gen_log_normal(int d, void* out, int64_t n, double a, double b) {
  return guarded([&] { pb::fill_log_normal(g(), dtype(d), out, n, a, b); });
}
int gen_multinomial(int d, const void* w, int64_t rows, int64_t cols, int64_t samples, int replacement,
                    int64_t* out) {
  return guarded([&] { pb::multinomial(g(), dtype(d), w, rows, cols, samples, replacement != 0, out); });
}

}  // extern "C"
