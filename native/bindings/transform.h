// Levels of vmap and forward mode, and the values under them, for pullback.func.
#pragma once
#include <nanobind/nanobind.h>

#include "tape/transform.h"

namespace pb::py {

std::vector<Ref<Level>> levels_from(nanobind::handle sequence);
void init_transform(nanobind::module_& m);

}  // namespace pb::py
