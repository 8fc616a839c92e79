#pragma once
#include <nanobind/nanobind.h>

#include "core/meta.h"
#include "tape/tape.h"

namespace pb::py {

// What is not 0 in a tensor: a row of positions each.
Array nonzero_rows(PyObject* tensor);
void init_random(nanobind::module_& m);

}  // namespace pb::py
