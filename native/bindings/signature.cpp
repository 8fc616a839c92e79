#include "bindings/signature.h"

#include "bindings/override.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pb::py {
namespace {

PyTypeObject* symbolic_type = nullptr;  // every value of a trace
PyTypeObject* tracer_type = nullptr;    // those that stand for tensors

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

Kind kind_of(std::string_view name) {
  if (name == "Tensor") return Kind::Tensor;
  if (name == "Operand") return Kind::Operand;
  if (name == "Scalar") return Kind::Scalar;
  if (name == "int") return Kind::Int;
  if (name == "size") return Kind::Size;
  if (name == "bool") return Kind::Bool;
  if (name == "float") return Kind::Float;
  if (name == "dtype") return Kind::DType;
  if (name == "str") return Kind::Str;
  if (name == "any") return Kind::Ignored;
  fail(ErrorKind::Value, "signature: unknown type '", name, "'");
}

PyObject* default_of(std::string_view text) {
  if (text == "None") return Py_NewRef(Py_None);
  if (text == "True" || text == "False") return PyBool_FromLong(text == "True");
  if (text == "[]") return PyTuple_New(0);
  if (text.front() == '\'') return PyUnicode_FromStringAndSize(text.data() + 1, text.size() - 2);
  const std::string s(text);
  if (s.find_first_of(".e") != std::string::npos) return PyFloat_FromDouble(std::stod(s));
  return PyLong_FromLongLong(std::stoll(s));
}

Parameter parse_parameter(std::string_view text) {
  Parameter p;
  const size_t space = text.find(' ');
  std::string_view type = text.substr(0, space), rest = trim(text.substr(space + 1));
  if (type.ends_with("...")) p.variadic = true, type.remove_suffix(3);
  if (type.ends_with("?")) p.optional = true, type.remove_suffix(1);
  if (type.ends_with("[]")) p.list = true, type.remove_suffix(2);
  if (p.list && type.ends_with("?")) p.optional_items = true, type.remove_suffix(1);
  if (const size_t brace = type.find('{'); brace != std::string_view::npos) {
    std::string_view choices = type.substr(brace + 1, type.size() - brace - 2);
    type = type.substr(0, brace);
    while (!choices.empty()) {
      const size_t bar = choices.find('|');
      p.choices.emplace_back(choices.substr(0, bar));
      choices = bar == std::string_view::npos ? std::string_view() : choices.substr(bar + 1);
    }
  }
  if (type == "Number") p.old = true, type = "Scalar";
  p.kind = kind_of(type);
  if (const size_t eq = rest.find('='); eq != std::string_view::npos) {
    p.fallback = check(default_of(trim(rest.substr(eq + 1))));
    rest = trim(rest.substr(0, eq));
  }
  p.name = std::string(rest);
  p.key = check(PyUnicode_InternFromString(p.name.c_str()));
  return p;
}

bool integer_from(PyObject* o, int64_t& v) {
  if (PyLong_CheckExact(o)) {
    int overflow = 0;
    v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) fail(ErrorKind::Value, "Overflow when unpacking long long");
    return true;
  }
  if (PyBool_Check(o) || PyFloat_Check(o)) return false;
  if (is_tensor(o)) {
    const Array& seen = as_tensor(o)->var.array;
    if (seen.meta->ndim != 0 || is_float(seen.meta->dtype)) return false;
    const Array a = readable(o);
    v = load_scalar(a.meta->dtype, a.data()).i;
    return true;
  }
  if (!PyIndex_Check(o)) return false;
  Owned i(PyNumber_Index(o));
  if (!i) {
    PyErr_Clear();
    return false;
  }
  v = PyLong_AsLongLong(i.get());
  if (v == -1 && PyErr_Occurred()) throw PythonError();
  return true;
}

bool is_foreign(PyObject* o) { return symbolic_type && PyObject_TypeCheck(o, symbolic_type); }
bool is_tracer(PyObject* o) { return tracer_type && PyObject_TypeCheck(o, tracer_type); }

// Whether a tensor may stand for a number: no gradient would be lost without a word.
bool is_plain_number(PyObject* o) {
  return is_tensor(o) && as_tensor(o)->var.array.meta->ndim == 0 && !requires_grad(as_tensor(o));
}

// A tensor argument; subclasses and tracers are noted on the way.
bool take_tensor(PyObject* o, BoundCall& out) {
  if (is_tensor(o)) {
    TensorObject* t = as_tensor(o);
    out.args.push_back({&var_of(t), {}});
    if (!out.first) out.first = t;
    // The most derived class answers for all.
    if (!is_plain(o) && subclass_dispatch()) {
      if (!out.subclass || PyType_IsSubtype(Py_TYPE(o), out.subclass)) out.subclass = Py_TYPE(o);
      else if (!PyType_IsSubtype(out.subclass, Py_TYPE(o))) out.unrelated_classes = true;
    }
    return true;
  }
  if (is_tracer(o)) {
    out.foreign = o;
    return true;
  }
  return false;
}

bool take_integers(const Parameter& p, PyObject* o, BoundCall& out) {
  const bool symbolic = p.kind == Kind::Size;
  int64_t v = 0;
  if (is_foreign(o)) {
    out.foreign = o;
    return true;
  }
  if (!PyTuple_Check(o) && !PyList_Check(o)) {
    if (o == Py_None && p.fallback && PyTuple_Check(p.fallback)) {  // all axes, as where none are given
      out.push_int(0);
      return true;
    }
    if (!integer_from(o, v)) return false;
    out.push_int(1);
    out.push_int(v, symbolic);
    return true;
  }
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  out.push_int(n);
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(o, i);
    if (is_foreign(item)) {
      out.foreign = item;
      continue;
    }
    if (!integer_from(item, v)) {
      if (i == 0) return false;
      out.note_late(p, i);
      return true;
    }
    out.push_int(v, symbolic);
  }
  return true;
}

bool take_tensors(const Parameter& p, PyObject* o, BoundCall& out) {
  if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  out.push_int(n);
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(o, i);
    if (p.optional_items) out.push_int(item != Py_None);
    if (p.optional_items && item == Py_None) continue;
    if (!take_tensor(item, out)) {
      out.note_late(p, i);
      return true;
    }
  }
  return true;
}

bool take_real(PyObject* o, double& d) {
  if (PyFloat_Check(o)) d = PyFloat_AS_DOUBLE(o);
  else if (Scalar s; scalar_from(o, s)) d = s.as_double();
  else return false;
  return true;
}

// Torch's words for a string that is none of the choices.
[[noreturn]] void refuse_choice(const Parameter& p, const char* got) {
  const size_t n = p.choices.size();
  std::string all;
  for (size_t k = 0; k < n; ++k) {
    const bool last = k + 1 == n;
    if (p.optional) all += concat(last ? ", or '" : ", '", p.choices[k], "'");
    else all += concat(k == 0 ? "" : last ? " or " : ", ", p.choices[k]);
  }
  if (p.optional)
    fail(ErrorKind::Runtime, p.op, " expected ", p.name, " to be one of None", all, " but found '", got, "'");
  fail(ErrorKind::Runtime, p.name, " argument must be either ", all, n == 2 ? "." : ", got ",
       n == 2 ? "" : got);
}

bool take_string(const Parameter& p, PyObject* o, BoundCall& out) {
  if (!PyUnicode_Check(o)) return false;
  const char* text = PyUnicode_AsUTF8(o);
  for (size_t k = 0; k < p.choices.size(); ++k) {
    if (p.choices[k] == text) {
      out.push_int(static_cast<int64_t>(k));
      return true;
    }
  }
  refuse_choice(p, text);
}

// Python's own types stand for dtypes.
bool take_python_type(PyObject* o, BoundCall& out) {
  const auto* type = reinterpret_cast<PyTypeObject*>(o);
  if (type != &PyFloat_Type && type != &PyLong_Type && type != &PyBool_Type) return false;
  const DType d = type == &PyFloat_Type ? DType::Float64 : type == &PyLong_Type ? DType::Int64 : DType::Bool;
  out.push_int(static_cast<int64_t>(d));
  return true;
}

bool take(const Parameter& p, PyObject* o, BoundCall& out) {
  if (p.kind == Kind::Ignored) return true;
  if (p.optional) {
    if (o == Py_None) {
      out.push_int(0);
      return true;
    }
    out.push_int(1);
  }
  if (p.list) return p.kind == Kind::Tensor ? take_tensors(p, o, out) : take_integers(p, o, out);
  Scalar s;
  int64_t v = 0;
  double d = 0;
  switch (p.kind) {
    case Kind::Tensor: return take_tensor(o, out);
    case Kind::Operand:
      if (take_tensor(o, out)) return true;
      [[fallthrough]];
    case Kind::Scalar:
      if (is_foreign(o)) {
        out.foreign = o;
        return true;
      }
      if (p.kind == Kind::Scalar && !p.old && is_plain_number(o)) {
        const Array a = readable(o);
        out.args.push_back({nullptr, load_scalar(a.meta->dtype, a.data())});
        return true;
      }
      if (!scalar_from(o, s)) return false;
      out.args.push_back({nullptr, s});
      return true;
    case Kind::Int:
    case Kind::Size:
      if (is_foreign(o)) {
        out.foreign = o;
        return true;
      }
      if (!integer_from(o, v)) return false;
      out.push_int(v, p.kind == Kind::Size);
      return true;
    case Kind::Bool:
      if (!PyBool_Check(o)) return false;
      out.push_int(o == Py_True);
      return true;
    case Kind::Float:
      if (!take_real(o, d)) return false;
      std::memcpy(&v, &d, 8);
      out.push_int(v);
      return true;
    case Kind::DType:
      if (PyType_Check(o)) return take_python_type(o, out);
      if (!is_dtype(o)) return false;
      out.push_int(static_cast<int64_t>(dtype_from(o)));
      return true;
    case Kind::Str: return take_string(p, o, out);
    case Kind::Ignored: return true;
  }
  return false;
}

}  // namespace

void set_tracer_types(PyObject* symbolic, PyObject* tensor) {
  symbolic_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(symbolic));
  tracer_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(tensor));
}

Signature parse_signature(const std::string& text) {
  Signature s;
  s.text = text;
  const size_t open = text.find('('), close = text.rfind(')');
  s.name = text.substr(0, open);
  std::string_view rest(text.data() + open + 1, close - open - 1);
  bool keyword_only = false;
  while (!trim(rest).empty()) {
    const size_t comma = rest.find(", ");
    const std::string_view part = trim(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 2);
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    s.parameters.push_back(parse_parameter(part));
    s.parameters.back().keyword_only = keyword_only;
    s.parameters.back().op = s.name;
  }
  return s;
}

size_t find_parameter(const Signature& s, PyObject* key) {
  const size_t count = s.parameters.size();
  size_t found = count;
  for (size_t p = 0; p < count && found == count; ++p) {
    const Parameter& q = s.parameters[p];
    if (q.key == key || PyUnicode_Compare(q.key, key) == 0) found = p;
    // NumPy's names are understood too, as in torch.
    else if (q.name == "dim" && PyUnicode_CompareWithASCIIString(key, "axis") == 0) found = p;
    else if (q.name == "keepdim" && PyUnicode_CompareWithASCIIString(key, "keepdims") == 0) found = p;
    else if (q.name == "input" && (PyUnicode_CompareWithASCIIString(key, "self") == 0 ||
                                   PyUnicode_CompareWithASCIIString(key, "x") == 0))
      found = p;
  }
  return found;
}

bool may_be_size(PyObject* o) {
  if (PyLong_CheckExact(o) || is_foreign(o)) return true;
  int64_t v = 0;
  return integer_from(o, v);
}

bool fits(const Parameter& p, PyObject* o) {
  BoundCall unused;
  return take(p, o, unused);
}

bool match_arguments(const Signature& s, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
                     std::vector<PyObject*>& values, Owned& packed) {
  const size_t count = s.parameters.size();
  values.assign(count, nullptr);
  size_t at = 0;
  for (Py_ssize_t i = 0; i < n; ++i, ++at) {
    if (at >= count || s.parameters[at].keyword_only) return false;
    if (s.parameters[at].variadic && may_be_size(args[i])) {
      // Sizes given one by one: x.view(2, 3). They run to the end of the positional arguments.
      packed = own(PyTuple_New(n - i));
      for (Py_ssize_t k = i; k < n; ++k) PyTuple_SET_ITEM(packed.get(), k - i, Py_NewRef(args[k]));
      values[at] = packed.get();
      break;
    }
    values[at] = args[i];
  }
  const Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t k = 0; k < keywords; ++k) {
    const size_t found = find_parameter(s, PyTuple_GET_ITEM(kwnames, k));
    if (found == count || values[found]) return false;
    values[found] = args[n + k];
  }
  for (size_t p = 0; p < count; ++p) {
    if (values[p]) continue;
    if (!s.parameters[p].fallback) return false;
    values[p] = s.parameters[p].fallback;
  }
  return true;
}

bool convert_arguments(const Signature& s, std::span<PyObject* const> values, BoundCall& out) {
  out.clear();
  for (size_t p = 0; p < values.size(); ++p)
    if (!take(s.parameters[p], values[p], out)) return false;
  return !out.late;
}

}  // namespace pb::py
