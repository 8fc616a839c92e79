// Why torch refuses to change a view, or to go on with one that was changed.
#pragma once
#include "bindings/tensor.h"

namespace pb::py {

constexpr char kChanged[] = "is being";
constexpr char kChangedElsewhere[] = "its base or another view of its base has been";

// The text about a view whose history would become wrong. `changed` says what happened to it.
std::string why_not(TensorObject* t, const char* changed);

}  // namespace pb::py
