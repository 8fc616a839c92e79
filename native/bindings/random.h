#pragma once
#include <nanobind/nanobind.h>

namespace pb::py { void init_random(nanobind::module_& m); }
