// __torch_function__: who is asked before a call runs, and callables that ask.
#pragma once
#include "bindings/tensor.h"

namespace pb::py {

// TorchFunctionModes of this thread, whose stack Python keeps. As long as no thread has any, nobody looks further.
inline int g_threads_with_modes = 0;
bool thread_has_modes();
inline bool modes_active() { return g_threads_with_modes && thread_has_modes(); }
void set_mode_count(int count);

// Whether classes are asked in this thread; off while the default __torch_function__ runs. Returns what it was.
bool set_subclass_dispatch(bool on);
bool subclass_dispatch();

// How a class answers: not at all, by the default (run, and give results the class), or by code of its own.
enum class Answer { None, Default, Own };
Answer answer_of(PyTypeObject* type);

// Whether an attribute or slot of this tensor must ask first.
inline bool asks(PyObject* tensor) {
  if (modes_active()) [[unlikely]]
    return true;
  return !is_plain(tensor) && subclass_dispatch() && answer_of(Py_TYPE(tensor)) == Answer::Own;
}
// Whether one of the arguments, or of the items of a list among them, wants to be asked.
bool any_asks(PyObject* const* args, Py_ssize_t n);
// The tensor's class for what its attributes and slots give; null: a plain tensor.
PyTypeObject* class_of_results(PyObject* tensor);

// The answer of those who were asked (pullback/overrides.py: resolve). New reference.
PyObject* ask(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames = nullptr);
// The same for a slot of Tensor, "__getitem__", or one side of an attribute: ("shape", "__get__").
PyObject* ask_slot(const char* name, PyObject* const* args, Py_ssize_t n);
PyObject* ask_attribute(const char* name, const char* side, PyObject* const* args, Py_ssize_t n);

// Tensor's attributes, such that those concerned are asked first.
PyGetSetDef* asking(PyGetSetDef* table);
void init_override(PyObject* module);

}  // namespace pb::py
