// The operators of Tensor: `a * b` enters here from the interpreter, without a Python frame.
#include <cstring>

#include "bindings/op_function.h"
#include "bindings/override.h"

namespace pb::py {
namespace {

// Ops found by name at first use; they live for ever.
struct OpSlot {
  const char* name;
  // The methods that classes and modes are shown for the operator, where torch's is not the one of the op's
  // name; with a number in front.
  const char* shown = nullptr;
  const char* shown_reversed = nullptr;
  const Op* op = nullptr;
  const Op* get() {
    if (!op) op = find_op(name);
    return op;
  }
};

#define PB_OP(variable, ...) \
  OpSlot variable { __VA_ARGS__ }
PB_OP(op_add, "add");
PB_OP(op_sub, "sub");
PB_OP(op_rsub, "rsub", "__rsub__");
PB_OP(op_mul, "mul");
PB_OP(op_div, "div");
PB_OP(op_floor_divide, "floor_divide", "__floordiv__", "__rfloordiv__");
PB_OP(op_remainder, "remainder", nullptr, "__rmod__");
PB_OP(op_pow_known, "pow_known");
PB_OP(op_pow_number, "pow_number");
PB_OP(op_rpow, "rpow");
PB_OP(op_mm, "mm");
PB_OP(op_mv, "mv");
PB_OP(op_neg, "neg");
PB_OP(op_abs, "abs");
PB_OP(op_bitwise_not, "bitwise_not", "__invert__");
PB_OP(op_and, "bitwise_and", "__and__", "bitwise_and");
PB_OP(op_or, "bitwise_or", "__or__", "bitwise_or");
PB_OP(op_xor, "bitwise_xor", "__xor__", "bitwise_xor");
PB_OP(op_lshift, "bitwise_left_shift", "__lshift__", "__rlshift__");
PB_OP(op_rshift, "bitwise_right_shift", "__rshift__", "__rrshift__");
PB_OP(op_eq, "eq", "__eq__");
PB_OP(op_ne, "ne");
PB_OP(op_lt, "lt");
PB_OP(op_le, "le");
PB_OP(op_gt, "gt");
PB_OP(op_ge, "ge");
#undef PB_OP

// For operands that are not plain tensors and numbers, the public function of the same name decides.
PyObject* by_name(const char* name, PyObject* a, PyObject* b) {
  static PyObject* functions = nullptr;
  if (!functions) {
    Owned module = own(PyImport_ImportModule("pullback._operators"));
    functions = check(PyObject_GetAttrString(module.get(), "functions"));
  }
  PyObject* f = PyDict_GetItemString(functions, name);
  if (!f) fail(ErrorKind::Runtime, "operator without function: ", name);
  return b ? PyObject_CallFunctionObjArgs(f, a, b, nullptr) : PyObject_CallOneArg(f, a);
}

bool is_asked(PyObject* const* args, Py_ssize_t n) { return modes_active() || any_asks(args, n); }

// For operands of which one is more than a plain tensor or a number.
PyObject* odd_binary(const OpSlot& slot, PyObject* a, PyObject* b) {
  const bool in_order = is_tensor(a);
  const char* shown = in_order ? slot.shown : slot.shown_reversed;
  PyObject* args[2] = {in_order ? a : b, in_order ? b : a};
  if (shown && is_asked(args, 2)) return ask_slot(shown, args, 2);
  return by_name(slot.name, a, b);
}

bool is_numpy_array(PyObject* o) {
  static PyObject* type = nullptr;
  if (!type) {
    Owned numpy = own(PyImport_ImportModule("numpy"));
    type = check(PyObject_GetAttrString(numpy.get(), "ndarray"));
  }
  return PyObject_TypeCheck(o, reinterpret_cast<PyTypeObject*>(type));
}

bool argument(PyObject* o, Argument& a, TensorObject*& first, bool& odd) {
  if (is_plain(o)) {
    a.var = &var_of(o);
    if (!first) first = as_tensor(o);
    return true;
  }
  if (is_tensor(o)) {
    odd = true;
    return true;
  }
  return scalar_from(o, a.scalar) || (odd = any_asks(&o, 1));
}

PyObject* binary(OpSlot& slot, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Argument args[2];
    TensorObject* first = nullptr;
    bool odd = modes_active();
    if (!argument(a, args[0], first, odd) || !argument(b, args[1], first, odd)) Py_RETURN_NOTIMPLEMENTED;
    if (odd) return odd_binary(slot, a, b);
    return call_op(slot.get(), args, {}, 0, nullptr);
  });
}

PyObject* unary(OpSlot& slot, PyObject* a) {
  return guarded([&]() -> PyObject* {
    if (!is_plain(a) || modes_active())
      return slot.shown && is_asked(&a, 1) ? ask_slot(slot.shown, &a, 1) : by_name(slot.name, a, nullptr);
    const Argument args[1] = {{&var_of(a), {}}};
    return call_op(slot.get(), args, {}, 0, nullptr);
  });
}

PyObject* binary_in_place(OpSlot& slot, PyObject* a, PyObject* b, const char* shown = nullptr) {
  return guarded([&]() -> PyObject* {
    Argument args[2];
    TensorObject* first = nullptr;
    bool odd = modes_active();
    if (!argument(a, args[0], first, odd) || !argument(b, args[1], first, odd)) Py_RETURN_NOTIMPLEMENTED;
    if (odd) {
      PyObject* pair[2] = {a, b};
      return shown && is_asked(pair, 2) ? ask_slot(shown, pair, 2)
                                        : by_name(concat(slot.name, "_").c_str(), a, b);
    }
    return in_place(slot.get(), args, {}, 0, as_tensor(a));
  });
}

// Torch puts the tensor first: so do the edges of its node.
PyObject* commutative(OpSlot& slot, PyObject* a, PyObject* b) {
  return is_tensor(a) ? binary(slot, a, b) : binary(slot, b, a);
}

PyObject* add(PyObject* a, PyObject* b) { return commutative(op_add, a, b); }
PyObject* mul(PyObject* a, PyObject* b) { return commutative(op_mul, a, b); }
PyObject* floor_divide(PyObject* a, PyObject* b) { return binary(op_floor_divide, a, b); }
PyObject* remainder(PyObject* a, PyObject* b) { return binary(op_remainder, a, b); }
PyObject* bit_and(PyObject* a, PyObject* b) { return binary(op_and, a, b); }
PyObject* bit_or(PyObject* a, PyObject* b) { return binary(op_or, a, b); }
PyObject* bit_xor(PyObject* a, PyObject* b) { return binary(op_xor, a, b); }
PyObject* lshift(PyObject* a, PyObject* b) { return binary(op_lshift, a, b); }
PyObject* rshift(PyObject* a, PyObject* b) { return binary(op_rshift, a, b); }
PyObject* matmul(PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    if ((!is_tensor(a) && !any_asks(&a, 1)) || (!is_tensor(b) && !any_asks(&b, 1))) Py_RETURN_NOTIMPLEMENTED;
    if (is_plain(a) && is_plain(b) && !modes_active()) {  // the usual ranks; matmul() knows them all
      const Argument args[2] = {{&var_of(a), {}}, {&var_of(b), {}}};
      const int rows = args[0].var->array.meta->ndim, columns = args[1].var->array.meta->ndim;
      if (rows == 2 && columns == 2) return call_op(op_mm.get(), args, {}, 0, nullptr);
      if (rows == 2 && columns == 1) return call_op(op_mv.get(), args, {}, 0, nullptr);
    }
    return by_name("matmul", a, b);
  });
}

PyObject* sub(PyObject* a, PyObject* b) {
  if (is_tensor(a)) return binary(op_sub, a, b);
  return guarded([&]() -> PyObject* {  // number - tensor has a node of its own name
    Argument args[2];
    if (!scalar_from(a, args[1].scalar)) Py_RETURN_NOTIMPLEMENTED;
    if (!is_plain(b) || modes_active()) return odd_binary(op_rsub, b, a);
    args[0].var = &var_of(b);
    return call_op(op_rsub.get(), args, {}, 0, nullptr);
  });
}
PyObject* div(PyObject* a, PyObject* b) {
  if (is_tensor(a)) return binary(op_div, a, b);
  return guarded([&]() -> PyObject* {  // number / tensor: reciprocal times number, as torch does
    Scalar s;
    if (!scalar_from(a, s) && !is_numpy_array(a)) Py_RETURN_NOTIMPLEMENTED;
    if (asks(b)) {
      PyObject* args[2] = {b, a};
      return ask_slot("__rdiv__", args, 2);
    }
    Owned r = own(by_name("reciprocal", b, nullptr));
    return PyNumber_Multiply(r.get(), a);
  });
}

// Exponents for which torch has another way than pow() are static; any other is a run-time scalar.
bool is_static_exponent(double e) {
  return e == 2 || e == 3 || e == 0.5 || e == -0.5 || e == -1 || e == -2 || e == 0 || e == 1;
}

PyObject* power(PyObject* a, PyObject* b, PyObject*) {
  return guarded([&]() -> PyObject* {
    Scalar s;
    PyObject* reversed[2] = {b, a};
    if (!is_tensor(a) && !(is_plain(b) && !modes_active()) && is_asked(reversed, 2))
      return ask_slot("__rpow__", reversed, 2);
    if (modes_active()) return by_name("pow", a, b);
    if (is_plain(a) && !is_tensor(b)) {
      if (!scalar_from(b, s)) {
        if (any_asks(&b, 1)) return by_name("pow", a, b);
        Py_RETURN_NOTIMPLEMENTED;
      }
      const Argument args[2] = {{&var_of(a), {}}, {nullptr, s}};
      if (s.kind == Scalar::Kind::Bool && args[0].var->array.meta->dtype == DType::Bool)
        return by_name("pow", a, b);
      const double e = s.as_double();
      if (e < 0 && s.kind != Scalar::Kind::Float && !is_float(args[0].var->array.meta->dtype))
        fail(ErrorKind::Runtime,
             "Integers to negative integer powers are not allowed.\nConvert the tensor with .float().");
      if (!is_static_exponent(e)) return call_op(op_pow_number.get(), args, {}, 0, nullptr);
      int64_t bits;
      std::memcpy(&bits, &e, 8);
      const int64_t ints[2] = {bits, s.kind != Scalar::Kind::Float};
      return call_op(op_pow_known.get(), {args, 1}, ints, 0, nullptr);
    }
    if (is_plain(b) && !is_tensor(a)) {
      if (!scalar_from(a, s)) Py_RETURN_NOTIMPLEMENTED;
      const Argument args[2] = {{nullptr, s}, {&var_of(b), {}}};
      return call_op(op_rpow.get(), args, {}, 0, nullptr);
    }
    if (!is_tensor(a) && !scalar_from(a, s)) Py_RETURN_NOTIMPLEMENTED;
    if (!is_tensor(b) && !scalar_from(b, s)) Py_RETURN_NOTIMPLEMENTED;
    return by_name("pow", a, b);
  });
}

PyObject* negative(PyObject* a) { return unary(op_neg, a); }
PyObject* absolute(PyObject* a) { return unary(op_abs, a); }
PyObject* invert(PyObject* a) {
  return guarded([&] {
    if (is_plain(a) && is_float(as_tensor(a)->var.array.meta->dtype))
      fail(ErrorKind::Type, "~ (operator.invert) is only implemented on integer and Boolean-type tensors");
    return unary(op_bitwise_not, a);
  });
}
PyObject* positive(PyObject* a) {
  if (asks(a)) return guarded([&] { return ask_slot("positive", &a, 1); });
  return Py_NewRef(a);
}

PyObject* iadd(PyObject* a, PyObject* b) { return binary_in_place(op_add, a, b); }
PyObject* isub(PyObject* a, PyObject* b) { return binary_in_place(op_sub, a, b); }
PyObject* imul(PyObject* a, PyObject* b) { return binary_in_place(op_mul, a, b); }
PyObject* idiv(PyObject* a, PyObject* b) { return binary_in_place(op_div, a, b); }
PyObject* ifloor_divide(PyObject* a, PyObject* b) { return binary_in_place(op_floor_divide, a, b); }
PyObject* iremainder(PyObject* a, PyObject* b) { return binary_in_place(op_remainder, a, b); }
PyObject* iand(PyObject* a, PyObject* b) { return binary_in_place(op_and, a, b, "__iand__"); }
PyObject* ior(PyObject* a, PyObject* b) { return binary_in_place(op_or, a, b, "__ior__"); }
PyObject* ixor(PyObject* a, PyObject* b) { return binary_in_place(op_xor, a, b, "__ixor__"); }
PyObject* ilshift(PyObject* a, PyObject* b) { return binary_in_place(op_lshift, a, b, "__ilshift__"); }
PyObject* irshift(PyObject* a, PyObject* b) { return binary_in_place(op_rshift, a, b, "__irshift__"); }
PyObject* ipower(PyObject* a, PyObject* b, PyObject*) {
  return guarded([&]() -> PyObject* {
    Scalar s;
    if (!is_tensor(b) && !is_numpy_array(b) && !scalar_from(b, s) && !any_asks(&b, 1))
      Py_RETURN_NOTIMPLEMENTED;
    return by_name("pow_", a, b);
  });
}

PyObject* compare(PyObject* a, PyObject* b, int how) {
  static OpSlot* slots[] = {&op_lt, &op_le, &op_eq, &op_ne, &op_gt, &op_ge};
  if (how != Py_EQ || is_tensor(b)) return binary(*slots[how], a, b);
  return guarded([&]() -> PyObject* {  // of all comparisons, torch takes arrays here only
    if (!is_numpy_array(b)) return binary(op_eq, a, b);
    Owned module = own(PyImport_ImportModule("pullback.from_data"));
    Owned other = own(PyObject_CallMethod(module.get(), "tensor", "O", b));
    return binary(op_eq, a, other.get());
  });
}

Array single_element(PyObject* o, const char* what) {
  Array a = readable(o);
  if (a.meta->numel != 1) {
    if (a.meta->numel == 0 && !what)
      fail(ErrorKind::Runtime, "Boolean value of Tensor with no values is ambiguous");
    if (!what) {
      fail(ErrorKind::Runtime, "Boolean value of Tensor with more than one value is ambiguous\n",
           "Use .any() or .all(), or compare single elements.");
    }
    fail(ErrorKind::Value, "only one element tensors can be converted to Python scalars");
  }
  return a;
}

int truth(PyObject* o) {
  int result = -1;
  guarded_status([&] {
    if (asks(o)) {
      Owned answer = own(ask_slot("__bool__", &o, 1));
      result = PyObject_IsTrue(answer.get());
      return;
    }
    const Array a = single_element(o, nullptr);
    const Scalar s = load_scalar(a.meta->dtype, a.data());
    result = s.kind == Scalar::Kind::Float ? s.d != 0 : s.i != 0;
  });
  return result;
}

PyObject* to_int(PyObject* o) {
  return guarded([&]() -> PyObject* {
    if (asks(o)) return ask_slot("__int__", &o, 1);
    const Array a = single_element(o, "int");
    const Scalar s = load_scalar(a.meta->dtype, a.data());
    return s.kind == Scalar::Kind::Float ? PyLong_FromDouble(s.d) : PyLong_FromLongLong(s.i);
  });
}
void warn_of_lost_gradient() {
  static bool warned = false;  // torch warns once in a program
  const char* text =
      "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
      "Consider using tensor.detach() first.";
  if (!std::exchange(warned, true) && PyErr_WarnEx(PyExc_UserWarning, text, 1) < 0) throw PythonError();
}
PyObject* to_float(PyObject* o) {
  return guarded([&]() -> PyObject* {
    if (asks(o)) return ask_slot("__float__", &o, 1);
    const Array a = single_element(o, "float");
    if (is_float(a.meta->dtype) && grad_enabled() && requires_grad(as_tensor(o))) warn_of_lost_gradient();
    return PyFloat_FromDouble(load_scalar(a.meta->dtype, a.data()).as_double());
  });
}
PyObject* to_index(PyObject* o) {
  return guarded([&]() -> PyObject* {
    if (asks(o)) return ask_slot("__index__", &o, 1);
    const Array a = readable(o);
    if (a.meta->numel != 1 || is_float(a.meta->dtype))
      fail(ErrorKind::Type, "only integer tensors of a single element can be converted to an index");
    return PyLong_FromLongLong(load_scalar(a.meta->dtype, a.data()).i);
  });
}

template <class F> PyType_Slot slot(int id, F f) { return {id, reinterpret_cast<void*>(f)}; }

}  // namespace

void fill_number_slots(std::vector<PyType_Slot>& s) {
  s.insert(s.end(), {slot(Py_nb_add, add),
                     slot(Py_nb_subtract, sub),
                     slot(Py_nb_multiply, mul),
                     slot(Py_nb_true_divide, div),
                     slot(Py_nb_floor_divide, floor_divide),
                     slot(Py_nb_remainder, remainder),
                     slot(Py_nb_power, power),
                     slot(Py_nb_matrix_multiply, matmul),
                     slot(Py_nb_negative, negative),
                     slot(Py_nb_positive, positive),
                     slot(Py_nb_absolute, absolute),
                     slot(Py_nb_invert, invert),
                     slot(Py_nb_and, bit_and),
                     slot(Py_nb_or, bit_or),
                     slot(Py_nb_xor, bit_xor),
                     slot(Py_nb_lshift, lshift),
                     slot(Py_nb_rshift, rshift),
                     slot(Py_nb_inplace_add, iadd),
                     slot(Py_nb_inplace_subtract, isub),
                     slot(Py_nb_inplace_multiply, imul),
                     slot(Py_nb_inplace_true_divide, idiv),
                     slot(Py_nb_inplace_floor_divide, ifloor_divide),
                     slot(Py_nb_inplace_remainder, iremainder),
                     slot(Py_nb_inplace_power, ipower),
                     slot(Py_nb_inplace_and, iand),
                     slot(Py_nb_inplace_or, ior),
                     slot(Py_nb_inplace_xor, ixor),
                     slot(Py_nb_inplace_lshift, ilshift),
                     slot(Py_nb_inplace_rshift, irshift),
                     slot(Py_nb_bool, truth),
                     slot(Py_nb_int, to_int),
                     slot(Py_nb_float, to_float),
                     slot(Py_nb_index, to_index),
                     slot(Py_tp_richcompare, compare)});
}

}  // namespace pb::py
