// Levels of vmap and forward mode, and the values under them, for pullback.func.
#pragma once
#include <nanobind/nanobind.h>

namespace pb::py { void init_transform(nanobind::module_& m); }
