// The stream of torch's CPU generator: a 32-bit Mersenne twister and a normal value kept for the next call.
//
// Seeds. A seed is any of the 2^64 patterns. Python accepts integers from -2^63 to 2^64 - 1, of which the
// negative count modulo 2^64 (-1 is 18446744073709551615); beyond that torch raises
// ValueError("Overflow when unpacking long long"). torch.manual_seed(s) first applies int(s), so that 1.5,
// True and a 0-d tensor are accepted; Generator.manual_seed does not: RuntimeError, with the text
// "manual_seed expected a long, but got float".
// The twister itself starts from the low 32 bits alone, so seeds equal modulo 2^32 give the same numbers.
//
// Order of draws is the contract. A 64-bit draw is two 32-bit ones, the first being the high half.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pb {

class Generator {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721;
  static constexpr size_t kStateBytes = 5056;
  using State = std::array<uint8_t, kStateBytes>;

  explicit Generator(uint64_t seed = kDefaultSeed) { manual_seed(seed); }

  // Starts the stream anew and forgets the kept normals.
  void manual_seed(uint64_t seed);
  // Seeds from the system's entropy (53 bits, as torch) and returns the seed.
  uint64_t seed();
  uint64_t initial_seed() const { return seed_; }

  uint32_t random() {
    if (--left_ == 0) refill();
    return temper(words_[next_++]);
  }
  uint64_t random64() {
    const uint64_t high = random();
    return high << 32 | random();
  }
  // The next n 32-bit draws, the same as n calls of random().
  void draw(uint32_t* out, int64_t n);

  // The second value of a Box-Muller pair, kept for the next call; taking it empties the place.
  std::optional<double> take_normal() { return take(kept_double_); }
  std::optional<float> take_normal_float() { return take(kept_float_); }
  void keep_normal(double value) { kept_double_ = value; }
  void keep_normal_float(float value) { kept_float_ = value; }

  // The bytes of torch.get_rng_state(): what one library saves the other loads.
  State get_state() const;
  // Raises torch's RuntimeError for a wrong size or an impossible position, and then changes nothing.
  void set_state(const uint8_t* bytes, size_t size);

 private:
  static constexpr int kWords = 624;
  static constexpr int kShift = 397;

  static uint32_t temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }
  template <class T> static std::optional<T> take(std::optional<T>& place) {
    const std::optional<T> value = place;
    place.reset();
    return value;
  }
  void refill();

  uint64_t seed_ = 0;
  int32_t left_ = 1;  // draws until the refill, counting the one that triggers it
  uint32_t next_ = 0;
  std::array<uint32_t, kWords> words_{};
  std::optional<double> kept_double_;
  std::optional<float> kept_float_;
};

// The generator of every call that names none. Like all state, it is used with the GIL held.
Generator& default_generator();

}  // namespace pb
