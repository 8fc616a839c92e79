// Lets other Python threads run during a long kernel. The bindings fill in the two functions; without them
// (native tests) nothing happens.
#pragma once

namespace pb {

struct GilFunctions {
  void* (*save)() = nullptr;
  void (*restore)(void*) = nullptr;
};
inline GilFunctions g_gil;

class GilRelease {
 public:
  explicit GilRelease(bool wanted) : state_(wanted && g_gil.save ? g_gil.save() : nullptr) {}
  ~GilRelease() {
    if (state_) g_gil.restore(state_);
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  void* state_;
};

}  // namespace pb
