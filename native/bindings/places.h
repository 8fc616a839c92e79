// Places in the user's program, as numbers: a line, or a line with those that led to it.
#pragma once
#include "bindings/python.h"
#include "tape/node.h"

namespace pb::py {

// The innermost frame outside this package, or with `stack` every frame of the thread. 0: no frame.
uint32_t place_here(bool stack);
// A list of (file, line, function), the innermost last. New reference.
PyObject* place_entries(uint32_t place);
// The user's own frame of a place, as a traceback shows it.
std::string place_text(uint32_t place);
// A node's stack as torch's anomaly mode keeps it, a list of strings; null where none was taken.
PyObject* stack_of(const Node& n);

// Where this package lies, and its function that turns entries into lines of a traceback.
void set_place_format(PyObject* package, PyObject* format);

}  // namespace pb::py
