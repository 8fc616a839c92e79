#pragma once
#include "bindings/python.h"

namespace pb::py { void init_step(PyObject* module); }
