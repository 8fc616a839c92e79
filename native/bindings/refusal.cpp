#include "bindings/refusal.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace pb::py {
namespace {

struct Call {
  PyObject* const* args;
  Py_ssize_t n;
  PyObject* kwnames;

  Py_ssize_t keywords() const { return kwnames ? PyTuple_GET_SIZE(kwnames) : 0; }
  PyObject* key(Py_ssize_t k) const { return PyTuple_GET_ITEM(kwnames, k); }
  // What a parameter was given; null: nothing.
  PyObject* given(const Signature& s, size_t p) const {
    if (p < static_cast<size_t>(n)) return s.parameters[p].keyword_only ? nullptr : args[p];
    for (Py_ssize_t k = 0; k < keywords(); ++k)
      if (find_parameter(s, key(k)) == p) return args[n + k];
    return nullptr;
  }
};

std::string type_name(PyObject* o) {
  if (Py_TYPE(o) == parameter_type) return "Parameter";
  if (is_tensor(o)) return "Tensor";
  const std::string_view name = Py_TYPE(o)->tp_name;
  if (!(Py_TYPE(o)->tp_flags & Py_TPFLAGS_HEAPTYPE) || name.find('.') != name.npos) return std::string(name);
  const Owned home = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(o)), "__module__"));
  const char* module = PyUnicode_Check(home.get()) ? PyUnicode_AsUTF8(home.get()) : "";
  // Classes that are written in C in torch are named in full.
  return std::string_view(module).starts_with("torch") ? concat(module, ".", name) : std::string(name);
}

const char* wanted(const Parameter& p) {
  switch (p.kind) {
    case Kind::Tensor: return p.list ? "tuple of Tensors" : "Tensor";
    case Kind::Operand: return "Tensor";
    case Kind::Scalar: return "Number";
    case Kind::Bool: return "bool";
    case Kind::Float: return "float";
    case Kind::DType: return "torch.dtype";
    case Kind::Str: return "str";
    case Kind::Ignored: return "bool";
    default: return p.list ? "tuple of ints" : "int";
  }
}

// A signature as torch writes it: "(Tensor other, *, Number alpha = 1)".
std::string shown(const Signature& s, const Refused& f) {
  std::string text = "(";
  bool keyword_only = false;
  for (size_t i = f.method; i < s.parameters.size(); ++i) {
    const Parameter& p = s.parameters[i];
    if (text.size() > 1) text += ", ";
    if (p.keyword_only && !keyword_only) text += "*, ";
    keyword_only = p.keyword_only;
    text += concat(wanted(p), " ", p.name);
    if (!p.fallback) continue;
    Owned value = own(PyObject_Str(p.fallback));
    text += concat(" = ", PyUnicode_AsUTF8(value.get()));
  }
  if (!f.method && !f.in_place) text += concat(keyword_only ? ", " : ", *, ", "Tensor out = None");
  return text + ")";
}

// What torch has as one signature with an option may be two here: without the option, and with it.
bool covers(const Signature& wide, const Signature& narrow) {
  const auto &w = wide.parameters, &p = narrow.parameters;
  if (w.size() <= p.size()) return false;
  for (size_t i = 0; i < w.size(); ++i)
    if (i < p.size() ? w[i].name != p[i].name : !w[i].fallback) return false;
  return true;
}

std::vector<const Signature*> visible(const Refused& f) {
  std::vector<const Signature*> out;
  for (const Overload& o : f.overloads) {
    const auto covered = [&](const Overload& other) { return covers(other.signature, o.signature); };
    if (!o.signature.is_old() && std::ranges::none_of(f.overloads, covered)) out.push_back(&o.signature);
  }
  return out;
}

// Whether so many arguments could fit.
bool plausible(const Refused& f, const Signature& s, const Call& c) {
  const auto required = std::ranges::count_if(s.parameters, [](const Parameter& p) { return !p.fallback; });
  const auto count = static_cast<Py_ssize_t>(s.parameters.size()) + (!f.in_place && !f.method);  // with out=
  const Py_ssize_t all = c.n + c.keywords();
  return required <= all && all <= count;
}

std::string too_many(const Refused& f, const Signature& s, const Call& c) {
  const auto positional =
      std::ranges::count_if(s.parameters, [](const Parameter& p) { return !p.keyword_only; });
  if (c.n <= positional) return {};
  const auto required = std::ranges::count_if(s.parameters, [](const Parameter& p) { return !p.fallback; });
  const Py_ssize_t most = positional - f.method, least = required - f.method, n = c.n - f.method;
  if (f.method && s.parameters.size() == 1)
    return concat("TensorBase.", f.name, "() takes no arguments (", n, " given)");
  const std::string few = least < most ? concat("from ", least, " to ") : "";
  return concat(f.name, "() takes ", few, most, " positional argument", most == 1 && few.empty() ? "" : "s",
                " but ", n, n == 1 ? " was" : " were", " given");
}

std::string missing(const Refused& f, const Signature& s, const Call& c, size_t from) {
  std::string names;
  int count = 0;
  for (size_t p = from; p < s.parameters.size(); ++p) {
    if (s.parameters[p].fallback || c.given(s, p)) continue;
    names += concat(count++ ? ", " : "", "\"", s.parameters[p].name, "\"");
  }
  return concat(f.name, "() missing ", count, " required positional argument", count == 1 ? "s" : "", ": ",
                names);
}

std::string mismatch(const Refused& f, const Parameter& p, size_t position, bool positional, PyObject* got) {
  std::string text = concat(f.name, "(): argument '", p.name, "' ");
  if (positional) text += concat("(position ", position + 1 - f.method, ") ");
  text += concat("must be ", wanted(p), ", ");
  const bool sequence = PyTuple_Check(got) || PyList_Check(got);
  if (!p.list || p.kind == Kind::Tensor || !sequence) return text + "not " + type_name(got);
  return concat(text, "but found element of type ", type_name(PySequence_Fast_GET_ITEM(got, 0)), " at pos 0");
}

// Why a call does not fit one signature: in torch's order, from left to right.
std::string reason(const Refused& f, const Signature& s, const Call& c) {
  const size_t count = s.parameters.size();
  const auto n = static_cast<size_t>(c.n);
  if (f.method && count == 1 && c.keywords())
    return concat("TensorBase.", f.name, "() takes no keyword arguments");
  const bool one_by_one = n > 1 && count > 1 && s.parameters[1].variadic && may_be_size(c.args[1]);
  if (std::string text = too_many(f, s, c); !text.empty() && !one_by_one) return text;
  for (size_t p = 0; p < count; ++p) {
    PyObject* got = c.given(s, p);
    if (!got && !s.parameters[p].fallback) return missing(f, s, c, p);
    if (got && !fits(s.parameters[p], got)) return mismatch(f, s.parameters[p], p, p < n, got);
    if (p == 1 && one_by_one) break;
  }
  for (Py_ssize_t k = 0; k < c.keywords(); ++k) {
    const size_t found = find_parameter(s, c.key(k));
    const char* key = PyUnicode_AsUTF8(c.key(k));
    if (found == count) return concat(f.name, "() got an unexpected keyword argument '", key, "'");
    if (found < n) return concat(f.name, "() got multiple values for argument '", key, "'");
  }
  // All fit, but none of them is a tensor.
  PyObject* got = c.given(s, 0);
  if (got && s.parameters[0].list) {
    fail(ErrorKind::Value, "torch.", s.text.substr(0, s.text.find('(')),
         "(): expected a non-empty list of Tensors");
  }
  return got ? mismatch(f, s.parameters[0], 0, n > 0, got) : missing(f, s, c, 0);
}

// A list of which the first item fits and a later one does not.
void refuse_late(const Refused& f, const Call& c) {
  for (const Overload& o : f.overloads) {
    const Signature& s = o.signature;
    std::vector<PyObject*> values;
    Owned packed;
    BoundCall call;
    if (!match_arguments(s, c.args, c.n, c.kwnames, values, packed)) continue;
    if (convert_arguments(s, values, call) || !call.late) continue;
    const auto at = static_cast<size_t>(call.late - s.parameters.data());
    PyObject* item = PySequence_Fast_GET_ITEM(values[at], call.late_item);
    if (call.late->kind == Kind::Tensor) {
      fail(ErrorKind::Type, "expected Tensor as element ", call.late_item, " in argument ", at - f.method,
           ", but got ", type_name(item));
    }
    fail(ErrorKind::Type, f.name, "(): argument '", call.late->name, "' failed to unpack the object at pos ",
         call.late_item + 1, " with error \"type must be tuple of ints,but got ", type_name(item), "\"");
  }
}

std::string got(const Refused& f, const Call& c, bool one_option) {
  std::map<std::string, std::string> named;
  for (Py_ssize_t k = 0; k < c.keywords(); ++k)
    named[PyUnicode_AsUTF8(c.key(k))] = type_name(c.args[c.n + k]);
  std::string s;
  if (one_option && !named.empty()) {
    for (const auto& [key, type] : named) s += (s.empty() ? "" : ", ") + key;
    return "unrecognized keyword arguments: " + s;
  }
  const bool none = c.n == f.method;  // then torch ends each keyword with a comma
  for (Py_ssize_t i = f.method; i < c.n; ++i) s += (s.empty() ? "" : ", ") + type_name(c.args[i]);
  for (const auto& [key, type] : named) s += concat(none ? "" : ", ", key, "=", type, none ? ", " : "");
  return "(" + s + ")";
}

}  // namespace

void refuse(const Refused& f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  const Call c{args, n, kwnames};
  refuse_late(f, c);
  const std::vector<const Signature*> options = visible(f);
  std::vector<const Signature*> likely;
  for (const Signature* s : options)
    if (plausible(f, *s, c)) likely.push_back(s);
  if (!f.several && (f.overloads.size() == 1 || likely.size() == 1))
    fail(ErrorKind::Type, reason(f, f.overloads.size() == 1 ? *options[0] : *likely[0], c));
  const bool one = options.size() == 1 && !f.several;
  std::string text = concat(f.name, "() received an invalid combination of arguments - got ", got(f, c, one));
  if (one && c.keywords()) fail(ErrorKind::Type, text);
  text += ", but expected ";
  if (one) fail(ErrorKind::Type, text, shown(*options[0], f));
  text += "one of:\n";
  for (const Signature* s : options) text += " * " + shown(*s, f) + "\n";
  fail(ErrorKind::Type, text);
}

}  // namespace pb::py
