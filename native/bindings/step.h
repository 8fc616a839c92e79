#pragma once
#include <nanobind/nanobind.h>

namespace pb::py { void init_step(nanobind::module_& m); }
