// Error kinds, mirrored by pullback/errors.py. C++ throws; the bindings raise the Python class of the kind.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace pb {

enum class ErrorKind : uint8_t {
  Runtime,
  Value,
  Type,
  Index,
  NotImplemented,
  Overflow,
  Shape,
  Dtype,
  Grad,
  Inplace,
  Memory,
  Device,
  Count
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
  std::string text_;
};

// A Python exception is already set; let it through.
class PythonError : public std::exception {};

template <class... Parts> std::string concat(const Parts&... parts) {
  std::ostringstream s;
  (s << ... << parts);
  return s.str();
}

template <class... Parts> [[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

}  // namespace pb
