// saved_tensors_hooks: what is packed, by whom, and how it comes back.
#pragma once
#include "bindings/tensor.h"

namespace pb::py {

// The saved value k of a node goes into the keeping of a pair of hooks. `whole`: inputs are shown with their
// place on the tape, as under saved_tensors_hooks.
void pack_saved_value(OperationNode& n, size_t k, PyObject* pack, PyObject* unpack, bool whole);

// Changes in place are told to whoever asked to hear of them, while there is somebody.
void choose_watcher();

// For the garbage collector.
int visit_packed(const std::vector<std::unique_ptr<PackedValue>>& packed, visitproc visit, void* arg);

void init_saved_hooks(PyObject* module);

}  // namespace pb::py
