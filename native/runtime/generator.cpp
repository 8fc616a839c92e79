#include "runtime/generator.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "core/error.h"

namespace pb {
namespace {

// torch.get_rng_state() byte by byte. The layout is older than the generator: words take 64 bits each, and
// what is not named here is zero.
struct StateLayout {
  static constexpr size_t kSeed = 0;          // uint64
  static constexpr size_t kLeft = 8;          // int32
  static constexpr size_t kSeeded = 12;       // int32, 1
  static constexpr size_t kNext = 16;         // uint64
  static constexpr size_t kWord = 24;         // 624 times uint64
  static constexpr size_t kKeptDouble = 5024; // double, after an unused one
  static constexpr size_t kHasDouble = 5040;  // int32, after an unused double
  static constexpr size_t kKeptFloat = 5048;  // float
  static constexpr size_t kHasFloat = 5052;   // bool
};

template <class T> void put(uint8_t* bytes, size_t at, T value) {
  std::memcpy(bytes + at, &value, sizeof value);
}

template <class T> T get(const uint8_t* bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes + at, sizeof value);
  return value;
}

uint32_t twist(uint32_t u, uint32_t v) {
  const uint32_t mixed = (u & 0x80000000u) | (v & 0x7fffffffu);
  return (mixed >> 1) ^ ((0u - (v & 1u)) & 0x9908b0dfu);
}

}  // namespace

void Generator::manual_seed(uint64_t seed) {
  seed_ = seed;
  words_[0] = static_cast<uint32_t>(seed);
  for (uint32_t i = 1; i < kWords; ++i) {
    const uint32_t previous = words_[i - 1];
    words_[i] = 1812433253u * (previous ^ (previous >> 30)) + i;
  }
  left_ = 1;
  next_ = 0;
  kept_double_.reset();
  kept_float_.reset();
}

uint64_t Generator::seed() {
  std::random_device device;
  const uint64_t high = device();
  const uint64_t drawn = (high << 32 | device()) & ((uint64_t{1} << 53) - 1);
  manual_seed(drawn);
  return drawn;
}

void Generator::refill() {
  uint32_t* w = words_.data();
  constexpr int kRest = kWords - kShift;
  for (int i = 0; i < kRest; ++i) w[i] = w[i + kShift] ^ twist(w[i], w[i + 1]);
  for (int i = kRest; i < kWords - 1; ++i) w[i] = w[i - kRest] ^ twist(w[i], w[i + 1]);
  w[kWords - 1] = w[kShift - 1] ^ twist(w[kWords - 1], w[0]);
  left_ = kWords;
  next_ = 0;
}

void Generator::draw(uint32_t* out, int64_t n) {
  while (n > 0) {
    if (left_ == 1) {
      refill();
      ++left_;  // so that the first of the new words is counted like the others
    }
    const int64_t m = std::min<int64_t>(n, left_ - 1);
    const uint32_t* from = words_.data() + next_;
    for (int64_t i = 0; i < m; ++i) out[i] = temper(from[i]);
    left_ -= static_cast<int32_t>(m);
    next_ += static_cast<uint32_t>(m);
    out += m;
    n -= m;
  }
}

Generator::State Generator::get_state() const {
  State state{};
  uint8_t* b = state.data();
  put<uint64_t>(b, StateLayout::kSeed, seed_);
  put<int32_t>(b, StateLayout::kLeft, left_);
  put<int32_t>(b, StateLayout::kSeeded, 1);
  put<uint64_t>(b, StateLayout::kNext, next_);
  for (size_t i = 0; i < kWords; ++i) put<uint64_t>(b, StateLayout::kWord + 8 * i, words_[i]);
  if (kept_double_) {
    put(b, StateLayout::kKeptDouble, *kept_double_);
    put<int32_t>(b, StateLayout::kHasDouble, 1);
  }
  if (kept_float_) {
    put(b, StateLayout::kKeptFloat, *kept_float_);
    put<uint8_t>(b, StateLayout::kHasFloat, 1);
  }
  return state;
}

void Generator::set_state(const uint8_t* bytes, size_t size) {
  if (size != kStateBytes) {
    fail(ErrorKind::Runtime, "Expected a CPUGeneratorImplState of size ", kStateBytes,
         " but found the input RNG state size to be ", size);
  }
  const auto left = get<int32_t>(bytes, StateLayout::kLeft);
  const auto next = static_cast<uint32_t>(get<uint64_t>(bytes, StateLayout::kNext));
  const bool seeded = get<int32_t>(bytes, StateLayout::kSeeded) != 0;
  // Beyond torch's check, left and next must agree, or a later draw would read past the words.
  const bool unused = left == 1 && next == 0;
  const bool agree = left >= 1 && left <= kWords && next == static_cast<uint32_t>(kWords + 1 - left);
  if (!seeded || !(unused || agree)) fail(ErrorKind::Runtime, "Invalid mt19937 state");
  seed_ = get<uint64_t>(bytes, StateLayout::kSeed);
  left_ = left;
  next_ = next;
  for (size_t i = 0; i < kWords; ++i) {
    words_[i] = static_cast<uint32_t>(get<uint64_t>(bytes, StateLayout::kWord + 8 * i));
  }
  kept_double_.reset();
  kept_float_.reset();
  if (get<int32_t>(bytes, StateLayout::kHasDouble) != 0) {
    kept_double_ = get<double>(bytes, StateLayout::kKeptDouble);
  }
  if (get<uint8_t>(bytes, StateLayout::kHasFloat) != 0) {
    kept_float_ = get<float>(bytes, StateLayout::kKeptFloat);
  }
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

}  // namespace pb
