#pragma once
#include <nanobind/nanobind.h>

namespace pb::py { void init_watch(nanobind::module_& m); }  // namespace pb::py
