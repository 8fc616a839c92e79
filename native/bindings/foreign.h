// Kernels in Python: what the core asks of pullback.extend.
#pragma once
#include <nanobind/nanobind.h>

namespace pb::py { void init_foreign(nanobind::module_& m); }
