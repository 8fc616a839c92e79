// Values that stay as they are when the memory under them is changed in place.
#pragma once
#include "tape/layers.h"

namespace pb {

// Before elements are overwritten, those of the values that lie there become copies: for as long as it lives.
class Untouched {
 public:
  explicit Untouched(std::vector<Var>& values);  // they outlive it
  ~Untouched();
  Untouched(const Untouched&) = delete;
  Untouched& operator=(const Untouched&) = delete;

 private:
  static void before_change(const Array& a);
  void take_out_of(const Storage& memory);

  std::vector<Var>& values_;
  std::vector<const Storage*> under_;
};

}  // namespace pb
