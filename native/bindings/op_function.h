// A callable for one op (or several overloads of a name): a function in the package and a method of Tensor.
#pragma once
#include "bindings/signature.h"

namespace pb::py {

struct Overload {
  Signature signature;
  const Op* op;
};

PyObject* make_op_function(const std::string& name, std::vector<Overload> overloads, bool in_place,
                           PyObject* result_type, const std::string& doc);
// The same function under another name.
PyObject* renamed(PyObject* function, const std::string& name);
// The same function as it is found in Tensor.
PyObject* as_method(PyObject* function);
void init_op_function(PyObject* module);
void set_dispatcher(PyObject* callable);        // for tracers and other foreign arguments

// A result as a tensor: one that shares the first operand's memory becomes its view.
PyObject* wrap_one(Var v, TensorObject* first, PyTypeObject* subclass);
// Wraps results; those that share the first operand's memory become its views.
PyObject* wrap_results(std::vector<Var>& results, TensorObject* first, PyTypeObject* subclass,
                       PyObject* result_type);
// Runs op on operands that are known to be plain: used by the number and index slots.
PyObject* call_op(const Op* op, std::span<const Argument> args, std::span<const int64_t> ints,
                  uint64_t symbolic, TensorObject* first, PyTypeObject* subclass = nullptr,
                  PyObject* result_type = nullptr);
PyObject* in_place(const Op* op, std::span<const Argument> args, std::span<const int64_t> ints,
                   uint64_t symbolic, TensorObject* self);

}  // namespace pb::py
